#include "ledger/note.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file_text.h"

/* The em dash that a signature line begins with, in UTF-8. */
#define DASH      "\xe2\x80\x94 "
#define DASH_SIZE (sizeof(DASH) - 1)

#define SIGNATURE_SIZE crypto_sign_BYTES

/* What a signature line has in base64: the key's id, for a cosignature the time, the signature. */
#define STAMP_SIZE    8
#define LINE_DATA_MAX (4 + STAMP_SIZE + SIGNATURE_SIZE)

#define PRIVATE_PREFIX "PRIVATE+KEY+"
#define KEY_FILE_MAX   1024

#define BASE64 sodium_base64_VARIANT_ORIGINAL

static_assert(NOTE_KEY_SIZE == crypto_sign_PUBLICKEYBYTES, "keys are Ed25519");
static_assert(NOTE_SEED_SIZE == crypto_sign_SEEDBYTES, "keys are Ed25519");

/* ---- Keys ---- */

/* A byte of UTF-8 that begins no blank beyond ASCII is enough here: names of logs are written by
 * their operators, and a wrong one matches no key. */
bool note_name_valid(const char *name)
{
    const size_t size = strlen(name);
    if (size == 0 || size > NOTE_NAME_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        const unsigned char octet = (unsigned char)name[i];
        if (octet <= ' ' || octet == 0x7f || octet == '+')
            return false;
    }
    return true;
}

static void key_id(struct note_verifier *verifier)
{
    const uint8_t separators[2] = {'\n', (uint8_t)verifier->type};
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *)verifier->name, strlen(verifier->name));
    crypto_hash_sha256_update(&state, separators, sizeof(separators));
    crypto_hash_sha256_update(&state, verifier->public, NOTE_KEY_SIZE);
    crypto_hash_sha256_final(&state, hash);
    memcpy(verifier->id, hash, sizeof(verifier->id));
}

/* NAME+HASH+BASE64 of the type's octet and 32 more. */
static int parse_key(const char *text, struct note_verifier *ret_key, uint8_t *ret_octets)
{
    const char *hash = strchr(text, '+');
    if (hash == NULL || (size_t)(hash - text) > NOTE_NAME_MAX)
        return -EINVAL;
    struct note_verifier key = {0};
    memcpy(key.name, text, (size_t)(hash - text));
    const char *data = hash + 1 + 8;
    if (!note_name_valid(key.name) || strlen(hash + 1) < 9 || *data != '+')
        return -EINVAL;
    uint8_t octets[1 + NOTE_KEY_SIZE];
    size_t hash_size, data_size;
    if (sodium_hex2bin(key.id, sizeof(key.id), hash + 1, 8, NULL, &hash_size, NULL) < 0 ||
        hash_size != sizeof(key.id) ||
        sodium_base642bin(octets, sizeof(octets), data + 1, strlen(data + 1), NULL, &data_size,
                          NULL, BASE64) < 0 ||
        data_size != sizeof(octets) ||
        (octets[0] != NOTE_KEY_ED25519 && octets[0] != NOTE_KEY_COSIGNATURE))
        return -EINVAL;
    key.type = (enum note_key_type)octets[0];
    *ret_key = key;
    memcpy(ret_octets, octets + 1, NOTE_KEY_SIZE); /* a member of the key, or not */
    sodium_memzero(octets, sizeof(octets));
    return 0;
}

static void format_key(const struct note_verifier *key, const uint8_t *octets, char *ret_text,
                       size_t size)
{
    uint8_t data[1 + NOTE_KEY_SIZE] = {(uint8_t)key->type};
    char encoded[sodium_base64_ENCODED_LEN(sizeof(data), BASE64)];
    memcpy(data + 1, octets, NOTE_KEY_SIZE);
    sodium_bin2base64(encoded, sizeof(encoded), data, sizeof(data), BASE64);
    (void)snprintf(ret_text, size, "%s+%02x%02x%02x%02x+%s", key->name, key->id[0], key->id[1],
                   key->id[2], key->id[3], encoded);
    sodium_memzero(data, sizeof(data));
    sodium_memzero(encoded, sizeof(encoded));
}

int note_verifier_parse(const char *text, struct note_verifier *ret_verifier,
                        struct error *ret_error)
{
    struct note_verifier verifier;
    uint8_t said[sizeof(verifier.id)];
    if (parse_key(text, &verifier, verifier.public) < 0)
        return error_set(ret_error, -EINVAL,
                         "'%.80s' is no verifier key; it looks like \"name+hash+key\", as the log "
                         "or witness publishes it",
                         text);
    memcpy(said, verifier.id, sizeof(said));
    key_id(&verifier);
    if (memcmp(said, verifier.id, sizeof(said)) != 0)
        return error_set(ret_error, -EINVAL,
                         "the verifier key of '%s' is damaged: its hash is not that of its key",
                         verifier.name);
    *ret_verifier = verifier;
    return 0;
}

void note_verifier_format(const struct note_verifier *verifier, char *ret_text, size_t size)
{
    format_key(verifier, verifier->public, ret_text, size);
}

int note_signer_from_seed(const char *name, enum note_key_type type, const uint8_t *seed,
                          struct note_signer *ret_signer)
{
    if (!note_name_valid(name))
        return -EINVAL;
    struct note_signer signer = {.verifier.type = type};
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    memcpy(signer.verifier.name, name, strlen(name) + 1);
    memcpy(signer.seed, seed, sizeof(signer.seed));
    (void)crypto_sign_seed_keypair(signer.verifier.public, secret, seed);
    sodium_memzero(secret, sizeof(secret));
    key_id(&signer.verifier);
    *ret_signer = signer;
    note_signer_clear(&signer);
    return 0;
}

int note_signer_generate(const char *name, enum note_key_type type, struct note_signer *ret_signer)
{
    uint8_t seed[NOTE_SEED_SIZE];
    if (sodium_init() < 0)
        return -ENOSYS;
    randombytes_buf(seed, sizeof(seed));
    int rc = note_signer_from_seed(name, type, seed, ret_signer);
    sodium_memzero(seed, sizeof(seed));
    return rc;
}

void note_signer_clear(struct note_signer *signer)
{
    sodium_memzero(signer, sizeof(*signer));
}

int note_signer_load(const char *path, struct note_signer *ret_signer, struct error *ret_error)
{
    struct stat status;
    if (stat(path, &status) == 0 && (status.st_mode & 077) != 0)
        return error_set_at(ret_error, -EPERM, path, 0, "others may read this secret: chmod 600");

    struct file_text text;
    int rc = file_text_read(path, KEY_FILE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    text.octets[strcspn(text.octets, "\r\n")] = '\0';
    struct note_verifier key;
    uint8_t seed[NOTE_SEED_SIZE], said[sizeof(key.id)];
    rc = -EINVAL;
    if (strncmp(text.octets, PRIVATE_PREFIX, strlen(PRIVATE_PREFIX)) == 0)
        rc = parse_key(text.octets + strlen(PRIVATE_PREFIX), &key, seed);
    sodium_memzero(text.octets, text.size);
    file_text_clear(&text);
    struct note_signer signer;
    if (rc == 0) {
        memcpy(said, key.id, sizeof(said));
        rc = note_signer_from_seed(key.name, key.type, seed, &signer);
    }
    sodium_memzero(seed, sizeof(seed));
    if (rc < 0 || memcmp(said, signer.verifier.id, sizeof(said)) != 0)
        return error_set_at(ret_error, -EINVAL, path, 0,
                            "is no signing key; 'tamis ledger key' makes one");
    *ret_signer = signer;
    note_signer_clear(&signer);
    return 0;
}

int note_signer_save(const struct note_signer *signer, const char *path, struct error *ret_error)
{
    char text[NOTE_VERIFIER_TEXT_SIZE + sizeof(PRIVATE_PREFIX)];
    memcpy(text, PRIVATE_PREFIX, sizeof(PRIVATE_PREFIX));
    const size_t begin = strlen(PRIVATE_PREFIX);
    format_key(&signer->verifier, signer->seed, text + begin, sizeof(text) - begin - 1);
    const size_t size = strlen(text);
    text[size] = '\n';
    int rc = file_text_create(path, 0600, text, size + 1, ret_error);
    sodium_memzero(text, sizeof(text));
    return rc;
}

/* ---- Signing ---- */

/* What a cosignature is over: "cosignature/v1", the time, the checkpoint. Returns its octets. */
static size_t cosigned_text(const char *text, size_t text_size, uint64_t time_s, char *to)
{
    const int head = sprintf(to, "cosignature/v1\ntime %" PRIu64 "\n", time_s);
    memcpy(to + head, text, text_size);
    return (size_t)head + text_size;
}
#define COSIGNED_HEAD_MAX 48

/* Cosigned are checkpoints, which are short (extension lines included). */
#define COSIGNED_MAX 4096

static void put_u64(uint8_t *to, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get_u64(const uint8_t *from)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value = value << 8 | from[i];
    return value;
}

size_t note_sign(const struct note_signer *signer, const char *text, size_t text_size,
                 uint64_t time_s, char *to)
{
    uint8_t data[LINE_DATA_MAX], public[NOTE_KEY_SIZE], secret[crypto_sign_SECRETKEYBYTES];
    char over[COSIGNED_HEAD_MAX + COSIGNED_MAX];
    size_t size = sizeof(signer->verifier.id);

    memcpy(data, signer->verifier.id, size);
    if (signer->verifier.type == NOTE_KEY_COSIGNATURE) {
        assert(text_size <= COSIGNED_MAX);
        text_size = cosigned_text(text, text_size, time_s, over);
        text = over;
        put_u64(data + size, time_s);
        size += STAMP_SIZE;
    }
    (void)crypto_sign_seed_keypair(public, secret, signer->seed);
    (void)crypto_sign_detached(data + size, NULL, (const uint8_t *)text, text_size, secret);
    sodium_memzero(secret, sizeof(secret));
    size += SIGNATURE_SIZE;

    char encoded[sodium_base64_ENCODED_LEN(LINE_DATA_MAX, BASE64)];
    sodium_bin2base64(encoded, sizeof(encoded), data, size, BASE64);
    return (size_t)sprintf(to, DASH "%s %s\n", signer->verifier.name, encoded);
}

/* ---- Reading ---- */

static int bad_note(struct error *error, const char *what)
{
    return error_set(error, -EINVAL, "this is no signed note: %s", what);
}

int note_parse(const char *octets, size_t size, struct note *ret_note, struct error *ret_error)
{
    if (size > NOTE_SIZE_MAX)
        return bad_note(ret_error, "it is too long");
    if (memchr(octets, '\0', size) != NULL)
        return bad_note(ret_error, "it has octets that are no text");
    if (size == 0 || octets[size - 1] != '\n')
        return bad_note(ret_error, "its last line does not end");

    /* The last blank line parts text and signatures. */
    const char *lines = NULL;
    for (size_t at = size - 1; at > 0 && lines == NULL; at--) {
        if (octets[at] == '\n' && octets[at - 1] == '\n')
            lines = octets + at + 1;
    }
    if (lines == NULL)
        return bad_note(ret_error, "there is no blank line before signatures");

    const size_t text_size = (size_t)(lines - octets) - 1;
    const size_t lines_size = size - text_size - 1;
    unsigned count = 0;
    for (const char *line = lines; line < octets + size; count++) {
        const char *end = memchr(line, '\n', (size_t)(octets + size - line));
        const char *blank = (size_t)(end - line) > DASH_SIZE
                                ? memchr(line + DASH_SIZE, ' ', (size_t)(end - line) - DASH_SIZE)
                                : NULL;
        if (blank == NULL || memcmp(line, DASH, DASH_SIZE) != 0 || blank == line + DASH_SIZE)
            return bad_note(ret_error, "a line behind the blank one is no signature");
        line = end + 1;
    }
    if (count == 0 || count > NOTE_SIGNERS_MAX)
        return bad_note(ret_error, count == 0 ? "nobody signed it" : "it has too many signatures");
    *ret_note = (struct note){
        .text = octets, .text_size = text_size, .lines = lines, .lines_size = lines_size};
    return 0;
}

static bool signature_holds(const struct note *note, const struct note_verifier *verifier,
                            const uint8_t *data, uint64_t *ret_time_s)
{
    char over[COSIGNED_HEAD_MAX + COSIGNED_MAX];
    const char *text = note->text;
    size_t size = note->text_size;
    *ret_time_s = 0;
    if (verifier->type == NOTE_KEY_COSIGNATURE) {
        if (size > COSIGNED_MAX)
            return false;
        *ret_time_s = get_u64(data);
        size = cosigned_text(text, size, *ret_time_s, over);
        text = over;
        data += STAMP_SIZE;
    }
    return crypto_sign_verify_detached(data, (const uint8_t *)text, size, verifier->public) == 0;
}

int note_verify(const struct note *note, const struct note_verifier *verifier, uint64_t *ret_time_s)
{
    const size_t name_size = strlen(verifier->name);
    const size_t wanted = sizeof(verifier->id) + SIGNATURE_SIZE +
                          (verifier->type == NOTE_KEY_COSIGNATURE ? STAMP_SIZE : 0);
    const char *const end = note->lines + note->lines_size;
    for (const char *line = note->lines; line < end;) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        const char *name = line + DASH_SIZE;
        const char *blank = memchr(name, ' ', (size_t)(line_end - name));
        line = line_end + 1;
        if ((size_t)(blank - name) != name_size || memcmp(name, verifier->name, name_size) != 0)
            continue;

        uint8_t data[LINE_DATA_MAX];
        size_t size;
        if (sodium_base642bin(data, sizeof(data), blank + 1, (size_t)(line_end - blank - 1), NULL,
                              &size, NULL, BASE64) < 0 ||
            size < sizeof(verifier->id))
            return -EBADMSG;
        if (memcmp(data, verifier->id, sizeof(verifier->id)) != 0)
            continue; /* another key of that name */
        uint64_t time_s;
        if (size != wanted ||
            !signature_holds(note, verifier, data + sizeof(verifier->id), &time_s))
            return -EBADMSG;
        if (ret_time_s != NULL)
            *ret_time_s = time_s;
        return 0;
    }
    return -ENOENT;
}

/* ---- Checkpoints ---- */

/* The next line of the text, without its line feed; false behind the last. */
static bool next_line(const struct note *note, const char **at, const char **ret_line,
                      size_t *ret_size)
{
    const char *const end = note->text + note->text_size;
    if (*at == end)
        return false;
    const char *line_end = memchr(*at, '\n', (size_t)(end - *at));
    *ret_line = *at;
    *ret_size = (size_t)(line_end - *at);
    *at = line_end + 1;
    return true;
}

/* A decimal number without a sign and leading zeros. */
static bool parse_size(const char *text, size_t size, uint64_t *ret_value)
{
    if (size == 0 || size > 19 || (text[0] == '0' && size > 1))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *ret_value = value;
    return value <= INT64_MAX;
}

int checkpoint_parse(const struct note *note, struct checkpoint *ret_checkpoint,
                     struct error *ret_error)
{
    struct checkpoint checkpoint = {0};
    const char *at = note->text, *line;
    size_t size;
    if (!next_line(note, &at, &line, &size) || size == 0 || size > NOTE_NAME_MAX)
        return error_set(ret_error, -EINVAL, "the checkpoint does not name its log");
    memcpy(checkpoint.origin, line, size);
    if (!next_line(note, &at, &line, &size) || !parse_size(line, size, &checkpoint.size))
        return error_set(ret_error, -EINVAL, "the checkpoint does not tell the size of its tree");
    size_t root_size = 0;
    if (!next_line(note, &at, &line, &size) ||
        sodium_base642bin(checkpoint.root.octets, sizeof(checkpoint.root.octets), line, size, NULL,
                          &root_size, NULL, BASE64) < 0 ||
        root_size != MERKLE_HASH_SIZE)
        return error_set(ret_error, -EINVAL, "the checkpoint does not tell the root of its tree");
    *ret_checkpoint = checkpoint;
    return 0;
}

size_t checkpoint_format(const struct checkpoint *checkpoint, char *to)
{
    char root[sodium_base64_ENCODED_LEN(MERKLE_HASH_SIZE, BASE64)];
    sodium_bin2base64(root, sizeof(root), checkpoint->root.octets, MERKLE_HASH_SIZE, BASE64);
    return (size_t)sprintf(to, "%s\n%" PRIu64 "\n%s\n", checkpoint->origin, checkpoint->size, root);
}
