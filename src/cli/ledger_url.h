/* A log behind a URL, for ledger/ledger_reader.h. */
#pragma once

#include "ledger/ledger_reader.h"

struct ledger_url;

/* `base` is the log's http: or https: URL, with or without a last slash. */
_must_check_ int ledger_url_open(const char *base, struct ledger_url **ret_url,
                                 struct error *ret_error);
void ledger_url_close(struct ledger_url *url);

/* For struct ledger_source: `context` is the struct ledger_url. Keeps its connection. */
int ledger_url_read(void *context, const char *path, size_t size_max, struct file_text *ret_text,
                    struct error *ret_error);
