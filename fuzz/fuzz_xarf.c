/* A report as XARF, of version 4 or 3. What is refused has a cause; what is taken has a class and
 * somebody to answer. */

#include "desk/json_in.h"
#include "desk/xarf.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct error error;
    json_t *json;

    if (json_in_parse((const char *)input, size, &json, &error) < 0)
        return 0;
    struct report_intake *intake = report_intake_create("json");
    FUZZ_ASSERT(intake != NULL);
    int rc = xarf_read(json, intake, &error);
    FUZZ_ASSERT(rc == 0 || error.text[0] != '\0');
    FUZZ_ASSERT(rc < 0 || (intake->contact[0] != '\0' && intake->report_class != NULL));
    report_intake_free(intake);
    json_decref(json);
    return 0;
}
