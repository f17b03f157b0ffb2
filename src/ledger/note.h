/* Signed notes (C2SP signed-note), the checkpoints written as such (C2SP tlog-checkpoint), and the
 * cosignatures of witnesses (C2SP tlog-cosignature).
 *
 * A note is text that ends with a line feed, a blank line, and signature lines. A signature is
 * found by the name and the hash of its key; those of unknown keys are passed over, as the format
 * asks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "ledger/merkle.h"

#define NOTE_NAME_MAX    255   /* octets of a key's name */
#define NOTE_SIZE_MAX    65536 /* octets of a whole note */
#define NOTE_KEY_SIZE    32    /* Ed25519, public */
#define NOTE_SEED_SIZE   32    /* Ed25519, secret */
#define NOTE_SIGNERS_MAX 64    /* signature lines; more are refused */

/* Of a key: what its signatures are over. */
enum note_key_type {
    NOTE_KEY_ED25519 = 0x01,     /* the text */
    NOTE_KEY_COSIGNATURE = 0x04, /* time and checkpoint */
};

struct note_verifier {
    char name[NOTE_NAME_MAX + 1];
    enum note_key_type type;
    uint8_t id[4];
    uint8_t public[NOTE_KEY_SIZE];
};

struct note_signer {
    struct note_verifier verifier;
    uint8_t seed[NOTE_SEED_SIZE];
};

/* Whether a key may have the name: not empty, UTF-8 without blanks, control characters and '+'. */
bool note_name_valid(const char *name);

/* "NAME+HASH+BASE64", the form in which verifier keys are given away. */
_must_check_ int note_verifier_parse(const char *text, struct note_verifier *ret_verifier,
                                     struct error *ret_error);
#define NOTE_VERIFIER_TEXT_SIZE (NOTE_NAME_MAX + 64)
void note_verifier_format(const struct note_verifier *verifier, char *ret_text, size_t size);

/* A new key, or the one of a seed. Holders clear signers. */
_must_check_ int note_signer_generate(const char *name, enum note_key_type type,
                                      struct note_signer *ret_signer);
_must_check_ int note_signer_from_seed(const char *name, enum note_key_type type,
                                       const uint8_t *seed, struct note_signer *ret_signer);
void note_signer_clear(struct note_signer *signer);

/* Reads and writes a key's file, "PRIVATE+KEY+NAME+HASH+BASE64" as the ecosystem's tools have it;
 * one that others may read is refused. */
_must_check_ int note_signer_load(const char *path, struct note_signer *ret_signer,
                                  struct error *ret_error);
_must_check_ int note_signer_save(const struct note_signer *signer, const char *path,
                                  struct error *ret_error);

/* Appends the signature line over the note's text `text` (it ends with a line feed) to `to`, which
 * has room for NOTE_LINE_SIZE. A cosignature also says `time_s`. Returns the octets written. */
#define NOTE_LINE_SIZE (NOTE_NAME_MAX + 128)
size_t note_sign(const struct note_signer *signer, const char *text, size_t text_size,
                 uint64_t time_s, char *to);

/* ---- Reading ---- */

struct note {
    const char *text; /* of the caller's octets; ends with a line feed */
    size_t text_size;
    const char *lines; /* the signature lines, each with its line feed */
    size_t lines_size;
};

/* Finds text and signatures; checks the form alone. */
_must_check_ int note_parse(const char *octets, size_t size, struct note *ret_note,
                            struct error *ret_error);

/* 0 when a signature of this verifier is there and right; -ENOENT without one, -EBADMSG when one is
 * there and wrong. `ret_time_s` may be NULL; 0 for signatures without time. */
_must_check_ int note_verify(const struct note *note, const struct note_verifier *verifier,
                             uint64_t *ret_time_s);

/* ---- Checkpoints ---- */

struct checkpoint {
    char origin[NOTE_NAME_MAX + 1];
    uint64_t size;
    struct merkle_hash root;
};

_must_check_ int checkpoint_parse(const struct note *note, struct checkpoint *ret_checkpoint,
                                  struct error *ret_error);

/* Writes the text to sign, without signatures. Returns its octets; `to` has CHECKPOINT_TEXT_SIZE.
 */
#define CHECKPOINT_TEXT_SIZE (NOTE_NAME_MAX + 80)
size_t checkpoint_format(const struct checkpoint *checkpoint, char *to);
