/* What comes first on a connection, read as any protocol's but a family's. */
#include "fuzz/fuzz_recognition.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    fuzz_recognise(generic_recognise, input, size);
    return 0;
}
