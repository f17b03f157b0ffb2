/* A new name, a rename or a removal is durable when the folder is. */
#pragma once

#include "base/cleanup.h"

/* Makes the names in a folder durable. Returns a negative errno. */
_must_check_ int folder_sync(const char *folder);

/* The same for the folder that the file `path` is in. */
_must_check_ int folder_sync_of(const char *path);
