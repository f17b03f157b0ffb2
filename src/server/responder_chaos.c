/* What a server says about itself (RFC 4892; version.bind by convention). */
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <libknot/rrtype/opt.h>
#include <libknot/wire.h>
#include <string.h>

#include "server/responder_internal.h"

static const char *chaos_text(const struct responder *responder, const struct name *name)
{
    static const struct {
        const char *wire;
        size_t size;
        bool version;
    } known[] = {
        {"\7version\4bind", 14, true},
        {"\7version\6server", 16, true},
        {"\2id\6server", 11, false},
        {"\10hostname\4bind", 15, false},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (name->size == known[i].size && memcmp(name->wire, known[i].wire, known[i].size) == 0)
            return known[i].version ? responder->options.version : responder->options.identity;
    }
    return NULL;
}

uint8_t responder_chaos(const struct responder *responder, const struct request *request,
                        const struct name *name, struct response *response)
{
    const char *text = request->qtype == KNOT_RRTYPE_TXT ? chaos_text(responder, name) : NULL;
    if (text == NULL)
        return KNOT_RCODE_REFUSED;

    size_t size = strlen(text);
    if (size > 255)
        size = 255;
    if (response->limit - response->size < 2 + 10 + 1 + size)
        return KNOT_RCODE_SERVFAIL;
    uint8_t *at = response->wire + response->size;
    knot_wire_write_u16(at, 0xc000 | QUESTION_OFFSET);
    knot_wire_write_u16(at + 2, KNOT_RRTYPE_TXT);
    knot_wire_write_u16(at + 4, KNOT_CLASS_CH);
    knot_wire_write_u32(at + 6, 0);
    knot_wire_write_u16(at + 10, (uint16_t)(size + 1));
    at[12] = (uint8_t)size;
    memcpy(at + 13, text, size);
    response->size += 13 + size;
    response->counts[SECTION_ANSWER]++;
    return KNOT_RCODE_NOERROR;
}
