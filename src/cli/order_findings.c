#include "cli/order_findings.h"

#include <inttypes.h>
#include <stdio.h>

void order_findings_print(const struct order *order)
{
    char text[1024];

    for (size_t i = 0; i < order->finding_count; i++) {
        const struct order_finding *finding = &order->findings[i];
        order_finding_format(finding, text, sizeof(text));
        if (finding->line > 0)
            fprintf(stderr, "%s:%" PRIu32 ": %s\n", finding->file, finding->line, text);
        else
            fprintf(stderr, "%s: %s\n", finding->file, text);
    }
    if (order->finding_total > order->finding_count)
        fprintf(stderr, "... and %" PRIu64 " more\n", order->finding_total - order->finding_count);
}

json_t *order_findings_json(const struct order *order)
{
    json_t *list = json_array();

    for (size_t i = 0; i < order->finding_count; i++) {
        const struct order_finding *finding = &order->findings[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:s, s:s, s:s*}", "file", finding->file, "line",
                                        (json_int_t)finding->line, "entry", finding->entry,
                                        "reason", finding->reason, "detail", finding->detail));
    }
    return list;
}

void order_refusal_print(const struct error *error, bool json)
{
    if (!json) {
        error_print(stderr, "tamis", error);
        return;
    }
    json_t *result =
        json_pack("{s:b, s:b, s:{s:s, s:s, s:I}}", "ok", 0, "accepted", 0, "error", "text",
                  error->text, "file", error->file, "line", (json_int_t)error->line);
    json_dumpf(result, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(result);
}

void order_note_unverified(struct order *order)
{
    if (order->subtrees.count > 0)
        order_add_finding(
            order, order->path, 0, "", 0,
            "subtrees need two valid signatures by different keys, which could not be "
            "verified without --keyring",
            NULL);
}
