/* /v1/hosts: customers look after their hosts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/account.h"
#include "desk/audit.h"
#include "desk/host_json.h"
#include "desk/host_sync.h"
#include "desk/host_tables.h"
#include "desk/hosts_internal.h"
#include "desk/json_in.h"

/* ---- Finding ---- */

/* The host of the path, when who asks may see it; others' hosts are not there. */
static int host_of_path(struct request *request, struct host_row *ret_row, struct error *ret_error)
{
    char name[HOST_NAME_SIZE];
    int rc = host_name_normalize(request_param(request, "name"), name, ret_error);
    if (rc == 0)
        rc = host_row_find(request_store(request), name, ret_row, ret_error);
    if (rc == 0 && !host_is_visible(request_principal(request), ret_row->account))
        return error_set(ret_error, -ENOENT, "there is no host %s", name);
    return rc;
}

/* Names that are no names are no hosts either. */
static int host_of_path_find(struct request *request, struct host_row *ret_row,
                             struct error *ret_error)
{
    int rc = host_of_path(request, ret_row, ret_error);
    if (rc == -EINVAL)
        return error_set(ret_error, -ENOENT, "there is no host of that name");
    return rc;
}

/* The host, to change something of it: not while its account is suspended. */
static int host_to_change(struct request *request, struct host_row *ret_row,
                          struct error *ret_error)
{
    int rc = host_of_path_find(request, ret_row, ret_error);
    if (rc == 0)
        rc = account_must_be_active(request_store(request), ret_row->account, ret_error);
    return rc;
}

static int host_reply(struct request *request, struct reply *reply, unsigned status,
                      const char *name, struct error *ret_error)
{
    json_t *json;
    int rc = host_json(request_desk(request)->hosts, request_store(request), name,
                       request_now_s(request), &json, ret_error);
    return rc < 0 ? rc : reply_json(reply, status, json);
}

int host_list(struct request *request, struct reply *reply, struct error *ret_error)
{
    const struct principal *who = request_principal(request);
    const char *account = request_query(request, "account"), *cursor;
    char next[HOST_NAME_SIZE];
    json_t *items;
    unsigned limit;

    int rc = request_page(request, &limit, &cursor, ret_error);
    if (rc < 0)
        return rc;
    if (who->role == ROLE_CUSTOMER)
        account = who->account;
    rc = hosts_json(request_store(request), &request_desk(request)->config->hosts,
                    account != NULL ? account : "", cursor, request_now_s(request), limit, &items,
                    next, ret_error);
    return rc < 0 ? rc : reply_list(reply, items, next[0] != '\0' ? next : NULL);
}

int host_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct host_row row;
    int rc = host_of_path_find(request, &row, ret_error);
    return rc < 0 ? rc : host_reply(request, reply, 200, row.name, ret_error);
}

/* ---- Creating ---- */

struct creation {
    struct request *request;
    struct host_new new;
    char name[HOST_NAME_SIZE], suffix[HOST_SUFFIX_SIZE], id[ID_SIZE];
    const struct desk_config_zone *zone;
};

static int suffix_read(struct json_in *in, char ret_suffix[static HOST_SUFFIX_SIZE],
                       struct error *ret_error)
{
    const char *text;
    uint8_t suffix[16], bits;

    ret_suffix[0] = '\0';
    if (!json_in_has(in, "aaaa_suffix"))
        return 0;
    int rc = json_in_text(in, "aaaa_suffix", 1, HOST_SUFFIX_SIZE - 1, &text, ret_error);
    if (rc < 0)
        return rc;
    if (!host_suffix_parse(text, suffix, &bits))
        return json_in_fail(in, "aaaa_suffix", ret_error,
                            "is no suffix: write what stands behind the prefix, as ::1:2:3:4 or "
                            "::1:2:3:4/56");
    host_suffix_text(suffix, bits, ret_suffix);
    return 0;
}

static int creation_read(struct request *request, struct creation *creation,
                         struct error *ret_error)
{
    const struct desk_config_hosts *config = &request_desk(request)->config->hosts;
    const char *text;
    struct json_in in;
    struct error why;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "name", 1, HOST_NAME_SIZE * 2, &text, ret_error);
    if (rc == 0 && json_in_has(&in, "wildcard"))
        rc = json_in_flag(&in, "wildcard", &creation->new.wildcard, ret_error);
    if (rc == 0)
        rc = suffix_read(&in, creation->suffix, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc < 0)
        return rc;
    rc = host_name_normalize(text, creation->name, &why);
    if (rc == 0)
        rc = host_name_check(config, creation->name, &creation->zone, &why);
    if (rc < 0)
        return error_set_at(ret_error, -EINVAL, "/name", 0, "%s", why.text);
    creation->new.name = creation->name;
    creation->new.suffix = creation->suffix;
    creation->new.zone = creation->zone->name;
    creation->new.account = request_principal(request)->account;
    return 0;
}

static int creation_do(struct store *store, void *context, struct error *ret_error)
{
    struct creation *creation = context;
    const struct change change = change_of_request(creation->request);
    const struct desk_config_hosts *config = &request_desk(creation->request)->config->hosts;
    struct host_allowance allowance;

    int rc = host_allowance_get(store, config, creation->new.account, &allowance, ret_error);
    if (rc < 0)
        return rc;
    if (allowance.count >= allowance.count_max)
        return error_set(ret_error, -EACCES,
                         "the plan has room for %llu hosts: delete one, or take a larger plan",
                         (unsigned long long)allowance.count_max);
    if (allowance.free && !creation->zone->free)
        return error_set(ret_error, -EACCES, "%s is not for free plans: choose another zone",
                         creation->zone->name);
    return host_insert(store, &change, &creation->new, creation->id, ret_error);
}

/* Makes the zone right at once; when the name server is down the outbox does it later. */
static void settle_now(struct request *request, const char *name)
{
    struct desk *desk = request_desk(request);
    struct error ignored;
    int rc = host_sync_now(desk->hosts, request_store(request), name, &ignored);
    (void)rc;
    host_sync_settle(desk, name);
}

int host_create(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct creation creation = {.request = request};
    char location[HOST_NAME_SIZE + 16];

    int rc = creation_read(request, &creation, ret_error);
    if (rc == 0)
        rc = request_transact(request, creation_do, &creation, ret_error);
    if (rc < 0)
        return rc;
    settle_now(request, creation.name);
    snprintf(location, sizeof(location), "/v1/hosts/%s", creation.name);
    rc = reply_header_add(reply, "Location", location);
    return rc < 0 ? rc : host_reply(request, reply, 201, creation.name, ret_error);
}

/* ---- Changing ---- */

struct patch {
    struct request *request;
    struct host_row row; /* as found; names the host */
    bool has_wildcard, wildcard, has_suffix, has_state, is_offline;
    char suffix[HOST_SUFFIX_SIZE];
};

static int patch_read(struct request *request, struct patch *patch, struct error *ret_error)
{
    static const char *const states[] = {"active", "offline", NULL};
    struct json_in in;
    size_t state;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0 && (patch->has_wildcard = json_in_has(&in, "wildcard")))
        rc = json_in_flag(&in, "wildcard", &patch->wildcard, ret_error);
    if (rc == 0 && (patch->has_state = json_in_has(&in, "state"))) {
        rc = json_in_word(&in, "state", states, &state, ret_error);
        patch->is_offline = rc == 0 && state == 1;
    }
    if (rc < 0)
        return rc;
    patch->has_suffix = json_object_get(in.object, "aaaa_suffix") != NULL; /* null takes it away */
    rc = suffix_read(&in, patch->suffix, ret_error);
    return rc < 0 ? rc : json_in_end(&in, ret_error);
}

static int patch_do(struct store *store, void *context, struct error *ret_error)
{
    const struct patch *patch = context;
    const struct change change = change_of_request(patch->request);
    struct host_row row;

    int rc = host_row_find(store, patch->row.name, &row, ret_error);
    if (rc < 0)
        return rc;
    if (patch->has_wildcard)
        row.wildcard = patch->wildcard;
    if (patch->has_suffix)
        memcpy(row.suffix, patch->suffix, sizeof(row.suffix));
    /* Whoever changes an expired host wants it. */
    if (patch->has_state || strcmp(row.state, "expired") == 0)
        snprintf(row.state, sizeof(row.state), "%s", patch->is_offline ? "offline" : "active");
    row.is_clean = row.is_clean && strcmp(row.state, "active") == 0;
    return host_save(store, &change, &row, ret_error);
}

int host_patch(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct patch patch = {.request = request};

    int rc = host_to_change(request, &patch.row, ret_error);
    if (rc == 0)
        rc = patch_read(request, &patch, ret_error);
    if (rc == 0)
        rc = request_transact(request, patch_do, &patch, ret_error);
    if (rc < 0)
        return rc;
    settle_now(request, patch.row.name);
    return host_reply(request, reply, 200, patch.row.name, ret_error);
}

static int delete_do(struct store *store, void *context, struct error *ret_error)
{
    struct patch *patch = context;
    const struct change change = change_of_request(patch->request);
    struct host_row row;
    int rc = host_row_find(store, patch->row.name, &row, ret_error);
    return rc < 0 ? rc : host_remove(store, &change, &row, "host.delete", ret_error);
}

int host_delete(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct patch patch = {.request = request};

    int rc = host_of_path_find(request, &patch.row, ret_error);
    if (rc == 0)
        rc = request_transact(request, delete_do, &patch, ret_error);
    if (rc < 0)
        return rc;
    settle_now(request, patch.row.name);
    return reply_status(reply, 204);
}

/* ---- Keys ---- */

struct key_work {
    struct request *request;
    struct host_row row;
    const char *label, *id;
    char new_id[ID_SIZE];
    uint8_t hash[SECRET_HASH_SIZE];
};

static int key_audit(struct store *store, const struct key_work *work, const char *action,
                     const char *id, struct error *ret_error)
{
    const struct change change = change_of_request(work->request);
    json_t *detail = json_pack("{s:s}", "key", id);
    int rc = audit_write(store,
                         &(struct audit_entry){.now_ms = change.now_ms,
                                               .who = change.who,
                                               .client = change.client,
                                               .action = action,
                                               .object = work->row.name,
                                               .detail = detail},
                         ret_error);
    json_decref(detail);
    return rc;
}

static int key_add(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct key_work *work = context;

    int rc = store_query(store, &rows, ret_error, "SELECT COUNT(*) FROM host_keys WHERE host = $1",
                         store_text(work->row.id));
    if (rc < 0)
        return rc;
    if (store_row_integer(rows, 0, 0) >= HOST_KEYS_MAX)
        return error_set(ret_error, -EACCES, "a host has at most %d keys: delete one",
                         HOST_KEYS_MAX);
    id_make(ID_KEY, request_now_ms(work->request), work->new_id);
    rc = store_change(store, NULL, ret_error,
                      "INSERT INTO host_keys (id, host, hash, label, created_at) "
                      "VALUES ($1, $2, $3, $4, $5)",
                      store_text(work->new_id), store_text(work->row.id),
                      store_octets(work->hash, sizeof(work->hash)), store_text(work->label),
                      store_integer(request_now_s(work->request)));
    return rc < 0 ? rc : key_audit(store, work, "host.key_create", work->new_id, ret_error);
}

int host_key_create(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct key_work work = {.request = request, .label = ""};
    char key[HOST_KEY_SIZE] = HOST_KEY_PREFIX, created[CLOCK_TEXT_SIZE];
    struct json_in in;

    int rc = host_to_change(request, &work.row, ret_error);
    if (rc == 0)
        rc = request_json_in(request, &in, ret_error);
    if (rc == 0 && json_in_has(&in, "label"))
        rc = json_in_text(&in, "label", 0, HOST_LABEL_SIZE_MAX, &work.label, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc < 0)
        return rc;
    secret_make(key + sizeof(HOST_KEY_PREFIX) - 1);
    host_key_hash(key, work.hash);
    rc = request_transact(request, key_add, &work, ret_error);
    hosts_forget(request_desk(request), work.row.name);
    if (rc < 0)
        return rc;
    reply->is_secret = true;
    return reply_json(reply, 201,
                      json_pack("{s:s, s:s, s:s, s:s}", "id", work.new_id, "key", key, "label",
                                work.label, "created_at",
                                clock_text(request_now_s(request), created)));
}

static int key_remove(struct store *store, void *context, struct error *ret_error)
{
    const struct key_work *work = context;
    uint64_t changed;
    int rc = store_change(store, &changed, ret_error,
                          "DELETE FROM host_keys WHERE id = $1 AND host = $2", store_text(work->id),
                          store_text(work->row.id));
    if (rc == 0 && changed == 0)
        return error_set(ret_error, -ENOENT, "the host has no such key");
    return rc < 0 ? rc : key_audit(store, work, "host.key_delete", work->id, ret_error);
}

int host_key_delete(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct key_work work = {.request = request, .id = request_param(request, "id")};
    int rc = host_of_path_find(request, &work.row, ret_error);
    if (rc == 0)
        rc = request_transact(request, key_remove, &work, ret_error);
    if (rc < 0)
        return rc;
    hosts_forget(request_desk(request), work.row.name);
    return reply_status(reply, 204);
}

/* ---- TXT ---- */

struct txt_work {
    struct request *request;
    struct host_row row;
    enum host_txt_way way;
    const char *values[HOST_TXT_MAX];
    size_t count;
};

static int values_read(struct json_in *in, struct txt_work *work, struct error *ret_error)
{
    const json_t *array, *value;
    size_t i;

    int rc = json_in_array(in, "values", HOST_TXT_MAX, &array, ret_error);
    if (rc < 0)
        return rc;
    json_array_foreach((json_t *)array, i, value)
    {
        const char *text = json_string_value(value);
        if (text == NULL || strlen(text) != json_string_length(value) || !host_txt_is_valid(text))
            return json_in_fail(in, "values", ret_error,
                                "has a value that is no TXT: give 1 to %d printable characters",
                                HOST_TXT_SIZE_MAX);
        work->values[work->count++] = text;
    }
    work->way = HOST_TXT_ONLY;
    return 0;
}

static int txt_read(struct request *request, struct txt_work *work, struct error *ret_error)
{
    struct json_in in;
    int rc = request_json_in(request, &in, ret_error);
    if (rc < 0)
        return rc;
    if (json_in_has(&in, "values")) {
        rc = values_read(&in, work, ret_error);
    } else {
        rc = json_in_text(&in, "value", 1, HOST_TXT_SIZE_MAX, &work->values[0], ret_error);
        work->count = 1;
        work->way = HOST_TXT_ADD;
        if (rc == 0 && !host_txt_is_valid(work->values[0]))
            rc = json_in_fail(&in, "value", ret_error, "is no TXT: give printable characters");
    }
    return rc < 0 ? rc : json_in_end(&in, ret_error);
}

static int txt_do(struct store *store, void *context, struct error *ret_error)
{
    const struct txt_work *work = context;
    const struct change change = change_of_request(work->request);
    return host_txt_write(store, &change, &work->row, work->way, work->values, work->count,
                          ret_error);
}

/* A certificate authority asks right after the answer: it comes when the name server has it. */
static int txt_change(struct txt_work *work, struct reply *reply, struct error *ret_error)
{
    struct request *request = work->request;
    struct desk *desk = request_desk(request);
    struct error why;

    int rc = request_transact(request, txt_do, work, ret_error);
    if (rc < 0)
        return rc;
    rc = host_sync_now(desk->hosts, request_store(request), work->row.name, &why);
    host_sync_settle(desk, work->row.name);
    if (rc < 0)
        return reply_problem(reply, 503, "name-server", "ask again in a few seconds", NULL,
                             "the value is kept, but the name server does not have it yet");
    return host_reply(request, reply, 200, work->row.name, ret_error);
}

int host_txt_put(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct txt_work work = {.request = request};
    int rc = host_to_change(request, &work.row, ret_error);
    if (rc == 0)
        rc = txt_read(request, &work, ret_error);
    return rc < 0 ? rc : txt_change(&work, reply, ret_error);
}

int host_txt_delete(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct txt_work work = {.request = request, .way = HOST_TXT_CLEAR};
    const char *value = request_query(request, "value");
    int rc = host_of_path_find(request, &work.row, ret_error);
    if (rc < 0)
        return rc;
    if (value != NULL) {
        work.way = HOST_TXT_REMOVE;
        work.values[0] = value;
        work.count = 1;
    }
    return txt_change(&work, reply, ret_error);
}
