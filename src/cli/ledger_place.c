#include "cli/ledger_place.h"

#include <string.h>
#include <unistd.h>

#include "cli/ledger_url.h"

int ledger_place_open(const char *place, struct ledger_place *ret_place, struct error *ret_error)
{
    struct ledger_url *url;
    if (strncmp(place, "http://", 7) != 0 && strncmp(place, "https://", 8) != 0) {
        *ret_place =
            (struct ledger_place){.source = {.read = ledger_folder_read, .context = (void *)place}};
        return 0;
    }
    int rc = ledger_url_open(place, &url, ret_error);
    if (rc < 0)
        return rc;
    *ret_place =
        (struct ledger_place){.source = {.read = ledger_url_read, .context = url}, .url = url};
    return 0;
}

void ledger_place_close(struct ledger_place *place)
{
    ledger_url_close(place->url);
    place->url = NULL;
}

int ledger_key_take(const char *argument, struct note_verifier *ret_verifier)
{
    struct error error;
    struct file_text text;
    int rc;
    if (access(argument, F_OK) == 0) {
        rc = file_text_read(argument, NOTE_SIZE_MAX, &text, &error);
        if (rc == 0) {
            text.octets[strcspn(text.octets, "\r\n")] = '\0';
            rc = note_verifier_parse(text.octets, ret_verifier, &error);
            file_text_clear(&text);
        }
    } else {
        rc = note_verifier_parse(argument, ret_verifier, &error);
    }
    if (rc < 0)
        error_print(stderr, "tamis", &error);
    return rc;
}
