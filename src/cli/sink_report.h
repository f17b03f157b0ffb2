/* A report to a network's owner: one victim after the other, in one of several formats. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sink/census.h"

/* Who reports; texts or NULL. */
struct report_sender {
    const char *operator_name;
    const char *mail; /* whom to ask */
    int64_t now_us;
};

struct report_victim {
    const struct census_entry *entry;
    struct in6_addr address;         /* opened; IPv4 mapped */
    char source[INET6_ADDRSTRLEN];   /* the same as text */
    char sinkhole[INET6_ADDRSTRLEN]; /* where it went */
    bool is_ipv6;
    const char *holder; /* of the network; "": not known */
};

/* How a format is written: begin, each victim, end. What goes to `stream` is checked by the caller
 * (ferror). Each returns 0 or a negative errno with an error. */
struct report_format {
    const char *name;
    bool infections_only; /* says of everything in it that it is infected: proven and likely */
    bool needs_mail;      /* a report without sender is none */
    int (*begin)(FILE *stream, const struct report_sender *sender, void **ret_state,
                 struct error *ret_error);
    int (*victim)(FILE *stream, void *state, const struct report_victim *victim,
                  struct error *ret_error);
    int (*end)(FILE *stream, void *state, struct error *ret_error);
    void (*free)(void *state);
};

extern const struct report_format report_csv, report_json, report_stix, report_xarf;

/* Fills the texts of a victim from its addresses. */
void report_victim_fill(struct report_victim *victim);

/* 2026-11-24T12:00:00.123Z */
#define REPORT_TIME_SIZE 32
const char *report_time(int64_t at_us, char ret_text[REPORT_TIME_SIZE]);

const char *report_transport(const struct sink_event *event); /* "tcp" */
/* Whether the name that brought it is known for certain or likely, so that a report may tell it. */
bool report_has_name(const struct sink_event *event);
