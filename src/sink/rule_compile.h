/* The *.yar files of a rules folder, compiled. tamis-sink-check-rules(1) tells what a rule must
 * say.
 */
#pragma once

#include <stdbool.h>
#include <yara.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sink/recognition.h"

/* What a rule's `meta` says. Texts live as long as the set. */
struct rule {
    const char *label;  /* "yara:gh0st" */
    const char *family; /* "" of generic kinds */
    const char *version;
    const char *source;
    enum sink_kind kind;
    bool is_private;       /* for other rules' conditions; says nothing itself */
    const YR_STRING *id;   /* whose match is the victim's id, or NULL */
    char label_octets[72]; /* what `label` points to */
};

/* Compiled rules: read by any number of threads at once. */
struct rule_set {
    YR_RULES *yara;
    struct rule *rules; /* rules[i] is of yara->rules_table[i] */
    size_t count;
};

/* Takes what the compiler finds; `is_warning` where the rule works but is slow. */
typedef void rule_finding_fn(void *context, bool is_warning, const char *file, unsigned line,
                             const char *text);

/* Compiles the folder. The first error is in `ret_error` with file and line; `take` (may be NULL)
 * gets all of the first bad file, and warnings. A folder without rules gives an empty set. */
_must_check_ int rule_set_compile(const char *folder, rule_finding_fn *take, void *context,
                                  struct rule_set **ret_set, struct error *ret_error);
void rule_set_free(struct rule_set *set);
DEFINE_FREEP(struct rule_set, rule_set_free)

/* A scanner for one thread, without signal handlers and bounded in time. */
_must_check_ int rule_set_scanner(const struct rule_set *set, YR_SCANNER **ret_scanner,
                                  struct error *ret_error);

/* Where rules are when nobody says: $TAMIS_RULES, else beside the program, as installed
 * (../share/tamis/rules) or as built (../../rules). Writes the path; -ENOENT: there are none. */
_must_check_ int rules_folder_find(char *ret_path, size_t size);
