/* The results of the control socket's commands for a person: private to ctl. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Prints a result on `stream`, what was refused in it on `findings`. Fields that are missing or of
 * another type show as "-" or are left out; fields that are new are ignored. `now` is in Unix
 * seconds. Returns 0, or -ENOMEM when not all was printed. */
typedef int ctl_print_fn(const json_t *result, int64_t now, FILE *stream, FILE *findings);

ctl_print_fn ctl_print_status;
ctl_print_fn ctl_print_zones;
ctl_print_fn ctl_print_orders;
ctl_print_fn ctl_print_stats, ctl_print_reports;
ctl_print_fn ctl_print_cache;
ctl_print_fn ctl_print_activate;
ctl_print_fn ctl_print_lift;
ctl_print_fn ctl_print_reload;

/* Whether a reload left something in its earlier state or has anything to report. */
bool ctl_reload_found(const json_t *result);
