/* Findings: the refused entries of an order, by file and line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"
#include "order/name_text.h"
#include "order/order.h"

/* Longest entry that is shown. */
#define ENTRY_SIZE_MAX 256

/* Size of the UTF-8 sequence at `text`, 0 when there is none (RFC 3629, 4). */
static size_t utf8_size(const unsigned char *text, size_t size)
{
    static const struct {
        unsigned char mask, lead;
        size_t size;
        uint32_t least;
    } forms[] = {{0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if ((text[0] & forms[i].mask) != forms[i].lead)
            continue;
        if (size < forms[i].size)
            return 0;
        uint32_t point = text[0] & (unsigned char)~forms[i].mask;
        for (size_t j = 1; j < forms[i].size; j++) {
            if ((text[j] & 0xc0) != 0x80)
                return 0;
            point = point << 6 | (text[j] & 0x3fu);
        }
        bool valid = point >= forms[i].least && point <= 0x10ffff &&
                     (point < 0xd800 || point > 0xdfff) && point > 0x9f;
        return valid ? forms[i].size : 0;
    }
    return 0;
}

/* Copies what a terminal and JSON can show; other octets become \DDD. */
static char *printable(const char *entry, size_t entry_size)
{
    const unsigned char *text = (const unsigned char *)entry;
    char *shown = malloc(ENTRY_SIZE_MAX + 5);
    size_t used = 0, size;

    if (shown == NULL)
        return NULL;
    for (size_t at = 0; at < entry_size && used < ENTRY_SIZE_MAX; at += size) {
        size = text[at] >= 0x80 ? utf8_size(text + at, entry_size - at) : 1;
        if (size == 0 || text[at] < ' ' || text[at] == 0x7f) {
            used += (size_t)snprintf(shown + used, 5, "\\%03u", text[at]);
            size = 1;
        } else {
            memcpy(shown + used, text + at, size);
            used += size;
        }
    }
    shown[used] = '\0';
    char *exact = realloc(shown, used + 1);
    return exact != NULL ? exact : shown;
}

/* Doubles up to the limit. Returns false when the finding can only be counted. */
static bool make_room(struct order *order)
{
    size_t count = order->finding_count;

    if (count >= ORDER_FINDINGS_MAX)
        return false;
    if ((count & (count - 1)) != 0)
        return true; /* between two powers of two there is room */
    struct order_finding *findings =
        reallocarray(order->findings, count == 0 ? 1 : count * 2, sizeof(*findings));
    if (findings == NULL)
        return false;
    order->findings = findings;
    return true;
}

void order_add_finding(struct order *order, const char *file, uint32_t line, const char *entry,
                       size_t entry_size, const char *reason, const char *detail)
{
    order->finding_total++;
    if (!make_room(order))
        return;

    struct order_finding finding = {
        .file = file,
        .line = line,
        .entry = printable(entry, entry_size),
        .reason = reason,
        .detail = detail != NULL ? strdup(detail) : NULL,
    };
    if (finding.entry == NULL || (detail != NULL && finding.detail == NULL)) {
        free(finding.entry);
        free(finding.detail);
        return;
    }
    order->findings[order->finding_count++] = finding;
}

void order_take_findings(struct order *order, struct order *from)
{
    for (size_t i = 0; i < from->finding_count; i++) {
        if (make_room(order)) {
            order->findings[order->finding_count++] = from->findings[i];
        } else {
            free(from->findings[i].entry);
            free(from->findings[i].detail);
        }
    }
    order->finding_total += from->finding_total;
    free(from->findings);
    from->findings = NULL;
    from->finding_count = 0;
    from->finding_total = 0;
}

uint32_t order_name_place(const struct order *order, const struct order_names *names, size_t index,
                          const char **ret_file)
{
    uint32_t line = names->lines[index];

    *ret_file = (line & ORDER_LINE_INLINE) != 0 ? order->path : order->names_path;
    return line & ~ORDER_LINE_INLINE;
}

void order_add_name_finding(struct order *order, const struct order_names *names, size_t index,
                            const char *reason, const char *detail)
{
    char text[NAME_TEXT_MAX];
    const char *file;

    uint32_t line = order_name_place(order, names, index, &file);
    size_t size = name_text_write(order_names_at(names, index), text);
    order_add_finding(order, file, line, text, size, reason, detail);
}

const char *order_finding_format(const struct order_finding *finding, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%s%s%s%s%s", finding->entry, finding->entry[0] != '\0' ? " " : "",
             finding->reason, finding->detail != NULL ? ": " : "",
             finding->detail != NULL ? finding->detail : "");
    return ret_text;
}
