/* Errors that resolvers report about our zones (RFC 9567): the agent domain that answers name, and
 * what was reported to it.
 *
 * A report is a query for "_er.<type>.<name>.<extended error>._er.<agent>" of type TXT. Who sends
 * one is not authenticated and may invent it: all that is kept is bounded, and of the reporter
 * nothing is.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "dns/name.h"

/* Longest agent domain: with it some 200 octets are left for the name and the numbers. */
#define ERROR_AGENT_SIZE_MAX 48

struct error_reports;

/* What the path of a query looks at; immutable. */
struct error_agent {
    struct name domain;
    struct name suffix;                           /* "_er.<agent>" */
    uint8_t option[2 + 2 + ERROR_AGENT_SIZE_MAX]; /* Report-Channel with its head, to be sent */
    uint16_t option_size;
};

struct error_report {
    uint8_t name[NAME_SIZE_MAX]; /* wire form */
    uint16_t type;               /* the first one, of several (RFC 9567, 6.1.1) */
    uint16_t error;              /* EDE (RFC 8914) */
};

/* `agent` is in wire form. Returns 0, -EINVAL for the root or a longer one, or -ENOMEM. */
_must_check_ int error_reports_create(const uint8_t *agent, struct error_reports **ret_reports);
void error_reports_free(struct error_reports *reports);

const struct error_agent *error_reports_agent(const struct error_reports *reports);

/* Whether `name` is at or below `suffix`. */
static inline bool error_agent_name_is_within(const struct name *name, const struct name *suffix)
{
    return name->label_count >= suffix->label_count &&
           name->hashes[name->label_count - suffix->label_count] == suffix->hashes[0];
}

/* Reads a name below the agent's suffix; false: it is no complete report. */
bool error_report_parse(const struct error_agent *agent, const struct name *name,
                        struct error_report *ret_report);

/* Keeps a report about a name of `zone` (NULL: of none of ours), which an order lists or not. Any
 * thread; never waits: where another thread is at it, the report is counted as missed. */
void error_reports_note(struct error_reports *reports, const struct error_report *report,
                        const struct name *zone, bool is_listed, int64_t now);

/* A report whose sender was told to come back over TCP. Any thread. */
void error_reports_challenged(struct error_reports *reports);

/* What is known, for the control socket and the metrics; not from a thread that answers. NULL
 * reports: there is no agent. */
json_t *error_reports_json(struct error_reports *reports);
void error_reports_write_metrics(struct error_reports *reports, FILE *stream);
