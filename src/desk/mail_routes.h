/* The routes of the mail part, for part_mail.c. */
#pragma once

#include "desk/router.h"

#define MAIL_ROUTE_COUNT 4
extern const struct route mail_routes[MAIL_ROUTE_COUNT];
