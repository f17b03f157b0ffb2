/* What comes first on a connection, read as njrat's. */
#include "fuzz/fuzz_recognition.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    fuzz_recognise(njrat_recognise, input, size);
    return 0;
}
