/* Lists of queries: "name type" a line, the form that dnsperf replays. */
#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/packet/wire.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "order/traffic_internal.h"

#define BLANKS " \t\r\n"

/* Writes the query as a client without EDNS sends it. Returns its size, 0 for a line that is no
 * query. */
static size_t write_query(char *line, uint8_t *ret_wire, size_t wire_max)
{
    char *state;
    const char *name = strtok_r(line, BLANKS, &state);
    const char *type_word = strtok_r(NULL, BLANKS, &state);
    uint16_t type;

    if (name == NULL || type_word == NULL || knot_rrtype_from_string(type_word, &type) < 0)
        return 0;
    uint8_t *at = ret_wire + KNOT_WIRE_HEADER_SIZE;
    if (knot_dname_from_str(at, name, wire_max - KNOT_WIRE_HEADER_SIZE - 4) == NULL)
        return 0;
    at += name_wire_size(at);
    knot_wire_write_u16(at, type);
    knot_wire_write_u16(at + 2, KNOT_CLASS_IN);
    return (size_t)(at + 4 - ret_wire);
}

static int take_line(struct traffic *traffic, char *line)
{
    uint8_t wire[KNOT_WIRE_HEADER_SIZE + NAME_SIZE_MAX + 4] = {0};
    const char *first = line + strspn(line, BLANKS);

    traffic->report->read++;
    if (*first == '\0' || *first == ';' || *first == '#')
        return 0;
    knot_wire_set_qdcount(wire, 1);
    size_t size = write_query(line, wire, sizeof(wire));
    if (size > 0)
        return traffic_message(traffic, wire, size, NULL, false);
    if (traffic->report->malformed++ == 0)
        traffic->report->malformed_line = traffic->report->read;
    return 0;
}

int traffic_read_list(struct traffic *traffic, const char *path, FILE *stream)
{
    char line[2048]; /* the longest name, every octet escaped, and a type */
    bool inside = false;
    int rc = 0;

    while (rc >= 0 && fgets(line, sizeof(line), stream) != NULL) {
        bool ends = strchr(line, '\n') != NULL || feof(stream);
        if (!inside && ends) {
            rc = take_line(traffic, line);
        } else if (!inside) { /* no name is that long */
            traffic->report->read++;
            if (traffic->report->malformed++ == 0)
                traffic->report->malformed_line = traffic->report->read;
        }
        inside = !ends;
    }
    if (rc >= 0 && ferror(stream))
        rc = error_set_at(traffic->error, -EIO, path, 0, "cannot be read to its end");
    fclose(stream);
    return rc;
}
