/* The routes of appeals, for part_appeals.c. */
#pragma once

#include "desk/router.h"

#define APPEAL_ROUTE_COUNT 8
extern const struct route appeal_routes[APPEAL_ROUTE_COUNT];
