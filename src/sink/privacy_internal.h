/* Epochs and their keys: privacy.c uses them, privacy_keys.c keeps them in files. */
#pragma once

#include <netinet/in.h>
#include <stdatomic.h>

#include "sink/address_seal.h"
#include "sink/privacy.h"

#define EPOCH_KEY_SIZE 32

/* In memory that is locked, with guard pages around it (sodium_malloc). */
struct epoch_keys {
    uint8_t ids[32], networks[32];
    struct address_seal addresses;
};

/* An epoch never leaves the list until the end, so that who looks through it needs no lock; when
 * its key is destroyed, the keys are wiped as soon as nobody uses them. */
struct epoch {
    struct epoch *_Atomic next; /* older in the list; set once */
    struct epoch_keys *keys;    /* NULL once wiped: to be looked at only between enter and leave */
    _Atomic unsigned users;
    _Atomic bool is_over; /* its key is destroyed */
    uint16_t number;
    enum privacy_addresses addresses;
    int32_t last_day; /* since 1970, the last of the epoch */
};

struct privacy {
    char *folder;
    enum privacy_addresses addresses;
    unsigned rotate_days, keep_days;
    struct calendar *calendar;
    bool read_only;
    struct epoch *_Atomic first;
    struct epoch *_Atomic current; /* NULL: read only, or before the first tick */
};

/* Takes keys into the list that are in the folder and not in it yet. */
_must_check_ int privacy_keys_load(struct privacy *privacy, struct error *ret_error);

/* Makes a key and its file, and takes it into the list. */
_must_check_ int privacy_keys_make(struct privacy *privacy, uint16_t number, int32_t last_day,
                                   struct epoch **ret_epoch, struct error *ret_error);

/* Destroys the keys of epochs whose time is up: the file at once, the memory when nobody uses it.
 */
_must_check_ int privacy_keys_destroy(struct privacy *privacy, int32_t today,
                                      struct error *ret_error);

void privacy_keys_free(struct privacy *privacy);
