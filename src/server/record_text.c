#include "server/record_text.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

void record_owner(const uint8_t *apex, size_t apex_size, const uint8_t *owner, size_t owner_size,
                  uint8_t ret_name[NAME_SIZE_MAX])
{
    memcpy(ret_name, owner, owner_size);
    memcpy(ret_name + owner_size, apex, apex_size);
}

/* All records of the set, each with its line's end; the caller frees. */
static int dump(const uint8_t *owner, const struct rrset *rrset, char **ret_text)
{
    knot_rrset_t set;
    knot_rrset_init(&set, (knot_dname_t *)owner, rrset->type, KNOT_CLASS_IN, rrset->ttl);
    const uint8_t *at = rrset->data;
    int rc = 0;
    for (unsigned left = rrset->rr_count; left > 0 && rc == 0; left--) {
        const uint16_t size = knot_wire_read_u16(at);
        if (knot_rrset_add_rdata(&set, at + 2, size, NULL) != KNOT_EOK)
            rc = -ENOMEM;
        at += 2 + (size_t)size;
    }
    size_t room = 1024;
    char *text = rc == 0 ? malloc(room) : NULL;
    if (text == NULL || knot_rrset_txt_dump(&set, &text, &room, &KNOT_DUMP_STYLE_DEFAULT) < 0)
        rc = -ENOMEM;
    knot_rdataset_clear(&set.rrs, NULL);
    if (rc < 0) {
        free(text);
        return rc;
    }
    *ret_text = text;
    return 0;
}

int record_set_write(FILE *stream, const uint8_t *owner, const struct rrset *rrset)
{
    char *text;
    int rc = dump(owner, rrset, &text);
    if (rc < 0)
        return rc;
    rc = fputs(text, stream) < 0 ? -ENOMEM : 0;
    free(text);
    return rc;
}

json_t *record_set_json(const uint8_t *owner, const struct rrset *rrset)
{
    json_t *lines = json_array();
    char *text = NULL;
    if (lines == NULL || rrset->rr_count == 0)
        return lines;
    if (dump(owner, rrset, &text) < 0) {
        json_decref(lines);
        return NULL;
    }
    for (char *at = text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = '\0';
        json_array_append_new(lines, json_string(at));
    }
    free(text);
    return lines;
}
