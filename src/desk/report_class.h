/* The classes of abuse: what a report is about, and how soon it must be dealt with. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct report_class {
    const char *name;  /* "phishing": in tables, in JSON, and as the reason of a block */
    const char *title; /* for people: "phishing or fraud" */
    /* What the configuration may change (tamis-desk.conf(5), `reports: classes`), in hours. */
    unsigned decide_hours; /* from the report to a decision */
    unsigned notice_hours; /* from the customer's notice to the block; 0: both at once */
    bool blocks_at_once;   /* no configuration makes the customer's notice come first */
};

#define REPORT_CLASS_COUNT 8

/* With the defaults; by their index the configuration keeps its own times. */
extern const struct report_class report_classes[REPORT_CLASS_COUNT];

/* "other", which is what remains. */
const struct report_class *report_class_other(void);

/* NULL: there is none of that name. */
const struct report_class *report_class_find(const char *name);

/* Its place in the list. */
size_t report_class_index(const struct report_class *report_class);

/* The name, and "other" for one that is not known. */
const char *report_class_title(const char *name);
