/* What comes first on a connection, read as njrat's. */
#include "fuzz/fuzz_recognition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_recognise(njrat_recognise, data, size);
    return 0;
}
