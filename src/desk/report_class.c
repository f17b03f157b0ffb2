#include "desk/report_class.h"

#include <string.h>

/* What does more harm by the hour is decided sooner. A controller of malware is blocked with the
 * notice: its owner is the one who must not be warned. */
const struct report_class report_classes[REPORT_CLASS_COUNT] = {
    {"malware-controller", "controller of malware", 4, 0, true},
    {"csam", "sexual abuse of children", 4, 0, true},
    {"malware", "distribution of malware", 24, 4, false},
    {"phishing", "phishing or fraud", 24, 4, false},
    {"attack", "attacks from the host", 48, 24, false},
    {"spam", "unsolicited mail", 72, 48, false},
    {"copyright", "infringement of copyright or trade mark", 168, 168, false},
    {"other", "other abuse", 72, 72, false},
};

const struct report_class *report_class_other(void)
{
    return &report_classes[REPORT_CLASS_COUNT - 1];
}

const struct report_class *report_class_find(const char *name)
{
    for (size_t i = 0; i < REPORT_CLASS_COUNT; i++)
        if (strcmp(report_classes[i].name, name) == 0)
            return &report_classes[i];
    return NULL;
}

size_t report_class_index(const struct report_class *report_class)
{
    return (size_t)(report_class - report_classes);
}

const char *report_class_title(const char *name)
{
    const struct report_class *found = report_class_find(name);
    return (found != NULL ? found : report_class_other())->title;
}
