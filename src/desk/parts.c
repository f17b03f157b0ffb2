/* The parts of the desk, one a line, in the order in which they start. */
#include "desk/parts.h"

/* clang-format off */
const struct desk_part *const desk_parts[] = {
    &part_system,
    &part_dns,
    &part_mail,
    &part_accounts,
    &part_hosts,
    &part_reports,
    &part_appeals,
    &part_orders,
    &part_ledger,
    &part_interests,
};
/* clang-format on */

const size_t desk_part_count = sizeof(desk_parts) / sizeof(desk_parts[0]);
