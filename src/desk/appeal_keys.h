/* Keys that the holder of a name makes known while nothing is blocked, to appeal with later when
 * the name itself cannot be used to prove anything. */
#pragma once

#include "desk/router.h"

/* POST /v1/appeal-keys. */
handler_fn appeal_key_add;
