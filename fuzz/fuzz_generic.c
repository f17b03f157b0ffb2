/* What comes first on a connection, read as any protocol's but a family's. */
#include "fuzz/fuzz_recognition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_recognise(generic_recognise, data, size);
    return 0;
}
