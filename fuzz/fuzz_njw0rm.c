/* What comes first on a connection, read as njw0rm's. */
#include "fuzz/fuzz_recognition.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    fuzz_recognise(njw0rm_recognise, input, size);
    return 0;
}
