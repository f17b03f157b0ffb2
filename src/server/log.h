/* The server's log: see base/log.h. */
#pragma once

#include "base/log.h"

#define server_log log_event
