/* Every part by its name, each defined in its part_<name>.c; parts.c lists them. */
#pragma once

#include "desk/part.h"

extern const struct desk_part part_accounts;
extern const struct desk_part part_appeals;
extern const struct desk_part part_dns;
extern const struct desk_part part_hosts;
extern const struct desk_part part_interests;
extern const struct desk_part part_ledger;
extern const struct desk_part part_mail;
extern const struct desk_part part_orders;
extern const struct desk_part part_reports;
extern const struct desk_part part_system;
