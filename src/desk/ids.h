/* Names of rows: a prefix for the kind and 20 characters of Crockford's base32, which sort by the
 * time they were made. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Three letters, '_', 20 characters, NUL. */
#define ID_SIZE 25

#define ID_ACCOUNT  "acc"
#define ID_APPEAL   "apl"
#define ID_AUDIT    "aud"
#define ID_HOST     "hst"
#define ID_INTEREST "int"
#define ID_KEY      "key"
#define ID_LEDGER   "led"
#define ID_ORDER    "ord"
#define ID_OUTBOX   "out"
#define ID_REPORT   "rep"
#define ID_TOKEN    "tok"
#define ID_DECISION "dec"
#define ID_EVENT    "evt"
#define ID_OVERLAP  "ovl"

/* Makes one: 48 bits of time, 52 of chance. It names, it does not prove: secrets are made by
 * secret_make(). Any thread. */
void id_make(const char *prefix, int64_t now_ms, char ret_id[static ID_SIZE]);

/* Whether `text` has the form of an id of this kind; letters are lower case. */
bool id_is_valid(const char *prefix, const char *text);
