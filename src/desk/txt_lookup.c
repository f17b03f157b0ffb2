#include "desk/txt_lookup.h"

#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <sodium.h>
#include <string.h>

#include "dns/record_reader.h"
#include "zone/origin_link.h"

#define CONNECT_TIMEOUT_MS 3000
#define TOTAL_TIMEOUT_MS   8000

/* Far more than the TXT records of one name need. */
#define ANSWER_MAX 65535

#define FLAG_RESPONSE 0x80
#define FLAG_RECURSE  0x01
#define RCODE_MASK    0x0f

static unsigned read_u16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

struct lookup {
    uint8_t query[MESSAGE_HEADER_SIZE + NAME_SIZE_MAX + 4];
    size_t size;
    const uint8_t *owner; /* within the query */
    const char *value;
};

static int query_make(const char *owner, struct lookup *lookup, struct error *ret_error)
{
    uint8_t *to = lookup->query;

    memset(to, 0, MESSAGE_HEADER_SIZE);
    randombytes_buf(to, 2);
    to[2] = FLAG_RECURSE;
    to[5] = 1; /* one question */
    if (knot_dname_from_str(to + MESSAGE_HEADER_SIZE, owner, NAME_SIZE_MAX) == NULL)
        return error_set(ret_error, -EINVAL, "\"%s\" is no domain name", owner);
    lookup->owner = to + MESSAGE_HEADER_SIZE;
    lookup->size = MESSAGE_HEADER_SIZE + knot_dname_size(lookup->owner);
    to[lookup->size + 1] = KNOT_RRTYPE_TXT;
    to[lookup->size + 3] = KNOT_CLASS_IN;
    lookup->size += 4;
    return 0;
}

/* Whether the strings of a TXT record, joined, are the value (RFC 1035, 3.3.14). */
static bool rdata_is_value(const uint8_t *rdata, size_t size, const char *value)
{
    size_t left = strlen(value);
    for (size_t at = 0; at < size;) {
        size_t part = rdata[at++];
        if (part > size - at || part > left || memcmp(rdata + at, value, part) != 0)
            return false;
        at += part;
        value += part;
        left -= part;
    }
    return left == 0;
}

/* Any TXT record of the answer section counts: an alias at the owner is its holder's doing, too. */
static int answer_read(const struct lookup *lookup, const uint8_t *wire, size_t size,
                       bool *ret_found)
{
    _cleanup_(record_reader_freep) struct record_reader *reader = record_reader_create();
    uint8_t name[NAME_SIZE_MAX];
    struct record record;
    uint16_t type, class;

    if (reader == NULL)
        return -ENOMEM;
    if (size < MESSAGE_HEADER_SIZE || memcmp(wire, lookup->query, 2) != 0 ||
        (wire[2] & FLAG_RESPONSE) == 0 || read_u16(wire + 4) != 1)
        return -EBADMSG;
    if ((wire[3] & RCODE_MASK) != KNOT_RCODE_NOERROR &&
        (wire[3] & RCODE_MASK) != KNOT_RCODE_NXDOMAIN)
        return -EIO;
    record_reader_init(reader, wire, size);
    if (record_reader_question(reader, name, &type, &class) < 0 || type != KNOT_RRTYPE_TXT ||
        !knot_dname_is_case_equal(name, lookup->owner))
        return -EBADMSG;
    *ret_found = false;
    for (unsigned count = read_u16(wire + 6); count > 0; count--) {
        if (record_reader_next(reader, &record) < 0)
            return -EBADMSG;
        *ret_found |= record.type == KNOT_RRTYPE_TXT && record.class == KNOT_CLASS_IN &&
                      rdata_is_value(record.rdata, record.rdata_size, lookup->value);
    }
    return 0;
}

static int exchange(struct origin_link *link, const struct lookup *lookup, bool *ret_found,
                    struct error *ret_error)
{
    const uint8_t *wire;
    size_t size;

    int rc = origin_link_send_stream(link, lookup->query, lookup->size, ret_error);
    if (rc == 0)
        rc = origin_link_receive_stream(link, &wire, &size, ret_error);
    return rc == 0 ? answer_read(lookup, wire, size, ret_found) : rc;
}

int txt_lookup(const struct config_address *resolver, const char *owner, const char *value,
               bool *ret_found, struct error *ret_error)
{
    struct lookup lookup = {.value = value};
    struct origin_link link;
    struct error why;

    int rc = query_make(owner, &lookup, ret_error);
    if (rc < 0)
        return rc;
    const struct transfer_source source = {
        .origin = (const struct sockaddr *)&resolver->address,
        .origin_size = resolver->size,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .idle_timeout_ms = CONNECT_TIMEOUT_MS,
        .total_timeout_ms = TOTAL_TIMEOUT_MS,
        .size_max = ANSWER_MAX,
    };
    rc = origin_link_open_stream(&link, &source, &why);
    if (rc == 0) {
        rc = exchange(&link, &lookup, ret_found, &why);
        origin_link_close(&link);
    }
    return rc == 0 ? 0
                   : error_set(ret_error, -EAGAIN,
                               "the resolver did not answer about %s: try again later", owner);
}
