#include "desk/appeal_keys.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "desk/appeal.h"
#include "desk/audit.h"
#include "desk/desk.h"
#include "desk/host_names.h"
#include "desk/json_in.h"
#include "desk/txt_lookup.h"

/* Of one name: as many as its holder changes in years. */
#define KEYS_MAX 16

#define KEY_BASE64_SIZE sodium_base64_ENCODED_LEN(APPEAL_KEY_SIZE, sodium_base64_VARIANT_ORIGINAL)

struct key_entry {
    struct request *request;
    char name[HOST_NAME_SIZE];
    uint8_t key[APPEAL_KEY_SIZE];
    const char *proof;
};

static int entry_read(struct request *request, struct key_entry *entry, struct error *ret_error)
{
    const char *name, *key;
    struct json_in in;
    size_t size;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "name", 1, HOST_NAME_SIZE - 1, &name, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "public_key", 1, KEY_BASE64_SIZE, &key, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0)
        rc = host_name_normalize(name, entry->name, ret_error);
    if (rc < 0)
        return rc;
    if (sodium_base642bin(entry->key, sizeof(entry->key), key, strlen(key), NULL, &size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        size != sizeof(entry->key))
        return json_in_fail(&in, "public_key", ret_error, "an Ed25519 key is 32 octets in base64");
    return 0;
}

/* Its account, or whoever publishes the key in the zone. */
static int entry_prove(struct key_entry *entry, struct error *ret_error)
{
    const struct principal *who = request_principal(entry->request);
    const struct desk *desk = request_desk(entry->request);
    char owner[BLOCK_NAME_SIZE + sizeof(APPEAL_TXT_LABEL) + 1];
    char value[sizeof(APPEAL_TXT_KEY) + KEY_BASE64_SIZE], base64[KEY_BASE64_SIZE];
    bool holds = false;

    int rc = who->account[0] == '\0' ? 0
                                     : appeal_owns(request_store(entry->request), who->account,
                                                   entry->name, &holds, ret_error);
    entry->proof = "account";
    if (rc < 0 || holds)
        return rc;
    entry->proof = "dns-txt";
    sodium_bin2base64(base64, sizeof(base64), entry->key, sizeof(entry->key),
                      sodium_base64_VARIANT_ORIGINAL);
    snprintf(owner, sizeof(owner), APPEAL_TXT_LABEL ".%s", entry->name);
    snprintf(value, sizeof(value), APPEAL_TXT_KEY "%s", base64);
    if (desk->config->appeals.resolver == NULL)
        return error_set(ret_error, -EACCES, "sign in with the account of the host");
    rc = txt_lookup(desk->config->appeals.resolver, owner, value, &holds, ret_error);
    if (rc < 0 || holds)
        return rc;
    return error_set(ret_error, -EACCES, "no proof of control: publish %s TXT \"%s\"", owner,
                     value);
}

static int key_add_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct key_entry *entry = context;
    int rc =
        store_query(store, &rows, ret_error, "SELECT COUNT(*) FROM appeal_keys WHERE name = $1",
                    store_text(entry->name));
    if (rc < 0)
        return rc;
    if (store_row_integer(rows, 0, 0) >= KEYS_MAX)
        return error_set(ret_error, -EDQUOT, "the name has %d keys already", KEYS_MAX);
    rc = store_change(store, NULL, ret_error,
                      "INSERT INTO appeal_keys (name, public_key, proof, published_at) VALUES "
                      "($1, $2, $3, $4) ON CONFLICT (name, public_key) DO NOTHING",
                      store_text(entry->name), store_octets(entry->key, sizeof(entry->key)),
                      store_text(entry->proof), store_integer(request_now_s(entry->request)));
    if (rc < 0)
        return rc;
    return audit_write(store,
                       &(struct audit_entry){.now_ms = request_now_ms(entry->request),
                                             .who = request_principal(entry->request),
                                             .client = request_client_text(entry->request),
                                             .action = "appeal.key_add",
                                             .object = entry->name},
                       ret_error);
}

int appeal_key_add(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct key_entry entry = {.request = request};
    char published[CLOCK_TEXT_SIZE];

    int rc = entry_read(request, &entry, ret_error);
    if (rc == 0)
        rc = entry_prove(&entry, ret_error);
    if (rc == 0)
        rc = request_transact(request, key_add_do, &entry, ret_error);
    if (rc < 0)
        return rc;
    clock_text(request_now_s(request), published);
    return reply_json(reply, 201,
                      json_pack("{s:s, s:s, s:s}", "name", entry.name, "proof", entry.proof,
                                "published_at", published));
}
