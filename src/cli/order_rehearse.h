/* Shared by the files of `tamis order rehearse`. */
#pragma once

#include <stdbool.h>

#include "order/rehearsal.h"

struct rehearse_report {
    const struct rehearsal *rehearsal;
    struct budget_figure figures[BUDGET_FIGURES];
    size_t zone_count;
    double load_s, walk_s, replay_s;
    bool strict;
    const char *traffic_path; /* NULL: none */
};

#define REFUSAL_TEXT_MAX 200

/* How many figures exceed their bound, plus one for findings where `strict`. */
size_t rehearse_refusals(const struct rehearse_report *report);

/* Writes the `index`th of them as a sentence, for example "live is 1,847; the budget allows 0". */
const char *rehearse_refusal(const struct rehearse_report *report, size_t index,
                             char ret_text[REFUSAL_TEXT_MAX]);

void rehearse_print_text(const struct rehearse_report *report);
_must_check_ int rehearse_print_json(const struct rehearse_report *report);
