/* A mail from anybody, as LMTP hands it over, with an envelope's sender in its first line. Whatever
 * it is, it is kept whole. */
#include <string.h>

#include "desk/mail_in.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static char zone_name[] = "dyn.example";
    static struct desk_config_zone zone = {.name = zone_name};
    static const struct desk_config config = {.hosts = {.zones = &zone, .zone_count = 1}};
    char sender[64] = "";

    const uint8_t *end = memchr(input, '\n', size);
    if (end == NULL || (size_t)(end - input) >= sizeof(sender))
        return 0;
    memcpy(sender, input, (size_t)(end - input));
    size -= (size_t)(end + 1 - input);

    struct report_intake *intake = report_intake_create("mail");
    FUZZ_ASSERT(intake != NULL);
    mail_in_start();
    report_mail_read(&config, sender, end + 1, size, intake);
    FUZZ_ASSERT(intake->names.count <= REPORT_NAMES_MAX && intake->piece_count > 0);
    report_intake_free(intake);
    return 0;
}
