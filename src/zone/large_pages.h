/* Memory for the names of large zones on large pages (2 MiB), where the system gives them to who
 * asks (transparent_hugepage "madvise" or "always").
 *
 * A probe goes anywhere in it. On small pages nearly each one waits for the page's address before
 * it waits for the memory, and in a virtual machine the former takes longer.
 */
#pragma once

#include <stddef.h>

#define LARGE_PAGE_SIZE ((size_t)2 << 20)

/* Not cleared; NULL: no memory. Below LARGE_PAGE_SIZE as malloc(). free() frees it. */
void *large_pages_alloc(size_t size);

/* Gives the pages that lie wholly between `from` and `to` back, which nothing was written to; they
 * come again as small ones when something is. */
void large_pages_trim(void *from, const void *to);
