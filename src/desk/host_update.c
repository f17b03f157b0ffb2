/* How an update goes, host by host:
 *
 *     look at the cache --- not there --> load, look again
 *       |    |     \
 *       |    |      a state changes --> tables, look again
 *       |    what it asks for is so already, or may not be --> its code is known
 *       hand it to the updater, under the entry's lock --> the name server's answer is the code
 *
 * The last host whose code becomes known has the request answered. */
#include "desk/host_update.h"

#include <assert.h>
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <stdlib.h>
#include <string.h>

#include "desk/host_tables.h"
#include "desk/hosts_internal.h"
#include "desk/outbox.h"

/* An entry that is gone again each time somebody looks is one of a cache that is far too small. */
#define ATTEMPTS_MAX 5

#define HOUR_MS 3600000

/* ---- Answering ---- */

/* A host key that fits none of the hosts opens nothing. */
static void key_judge(struct update *update)
{
    if (update->whole != UPDATE_OPEN || update->credential == NULL ||
        update->credential->kind != CREDENTIAL_KEY)
        return;
    for (size_t i = 0; i < update->count; i++)
        if (update->list[i].code != UPDATE_BADAUTH && update->list[i].code != UPDATE_NOTFQDN)
            return;
    for (size_t i = 0; i < update->count; i++)
        if (update->list[i].code == UPDATE_BADAUTH)
            update->whole = UPDATE_BADAUTH;
}

static int answer_make(struct update *update, struct reply *reply)
{
    key_judge(update);
    if (update->has_guess && update->whole != UPDATE_BADAUTH)
        host_guess_give(update->hosts->credentials, update->credential,
                        (const struct sockaddr *)&update->client);
    if (update->whole != UPDATE_OPEN)
        atomic_fetch_add(&update->hosts->updates[update->whole], 1);
    for (size_t i = 0; update->whole == UPDATE_OPEN && i < update->count; i++) {
        /* A key that fits another of the hosts says nothing about this one. */
        if (update->list[i].code == UPDATE_BADAUTH)
            update->list[i].code = UPDATE_NOHOST;
        atomic_fetch_add(&update->hosts->updates[update->list[i].code], 1);
    }
    return update->shape->reply(update, reply);
}

static void update_finish(struct update *update)
{
    struct reply reply = REPLY_EMPTY;
    if (answer_make(update, &reply) < 0)
        (void)reply_status(&reply, 503);
    pending_finish(update->pending, &reply);
    host_update_free(update);
}

/* The update may be gone after this. */
static void host_end(struct update_host *host, enum update_code code)
{
    struct update *update = host->update;
    host->code = code;
    if (atomic_fetch_sub(&update->left, 1) == 1)
        update_finish(update);
}

/* ---- Deciding ---- */

enum step { STEP_CODE, STEP_SUBMIT, STEP_TABLES };

static bool key_fits(const struct credential *credential, const struct host_entry *entry)
{
    bool fits = false;
    for (size_t i = 0; i < entry->key_count; i++)
        fits |= sodium_memcmp(entry->keys[i], credential->hash, SECRET_HASH_SIZE) == 0;
    return fits;
}

static enum update_code access_check(const struct update *update, const struct host_entry *entry)
{
    if (update->credential->kind == CREDENTIAL_KEY)
        return entry->life != HOST_NONE && key_fits(update->credential, entry) ? UPDATE_OPEN
                                                                               : UPDATE_BADAUTH;
    if (entry->life == HOST_NONE || strcmp(entry->account, update->account) != 0)
        return UPDATE_NOHOST;
    return UPDATE_OPEN;
}

static void targets_set(struct update_host *host, const struct host_entry *entry)
{
    const struct update_wish *wish = &host->update->wish;

    host->set = (struct host_addresses){.has_a = wish->a == FAMILY_SET,
                                        .has_aaaa = wish->aaaa == FAMILY_SET};
    memcpy(host->set.a, wish->a_octets, sizeof(host->set.a));
    memcpy(host->set.aaaa, wish->aaaa_octets, sizeof(host->set.aaaa));
    if (entry->has_suffix && host->set.has_aaaa)
        host_suffix_apply(entry->suffix, entry->suffix_bits, host->set.aaaa);

    host->now = entry->knows_addresses ? entry->addresses : (struct host_addresses){0};
    if (wish->a != FAMILY_KEEP) {
        host->now.has_a = host->set.has_a;
        memcpy(host->now.a, host->set.a, sizeof(host->now.a));
    }
    if (wish->aaaa != FAMILY_KEEP) {
        host->now.has_aaaa = host->set.has_aaaa;
        memcpy(host->now.aaaa, host->set.aaaa, sizeof(host->now.aaaa));
    }
}

/* Whether the name server has it so already. With another update on the way nobody knows. */
static void changes_find(const struct update_host *host, const struct host_entry *entry,
                         bool ret_changes[static 2])
{
    const struct update_wish *wish = &host->update->wish;
    const struct host_addresses *old = &entry->addresses, *set = &host->set;
    bool is_sure = entry->knows_addresses && entry->in_flight == 0;

    ret_changes[0] =
        wish->a != FAMILY_KEEP && (!is_sure || old->has_a != set->has_a ||
                                   (set->has_a && memcmp(old->a, set->a, sizeof(set->a)) != 0));
    ret_changes[1] = wish->aaaa != FAMILY_KEEP &&
                     (!is_sure || old->has_aaaa != set->has_aaaa ||
                      (set->has_aaaa && memcmp(old->aaaa, set->aaaa, sizeof(set->aaaa)) != 0));
}

static enum step code_set(struct update_host *host, enum update_code code)
{
    host->code = code;
    return STEP_CODE;
}

/* An hour's changes of each family may come at once, and then they come one after the other. */
static bool may_pay(const struct host_entry *entry, const bool changes[static 2], int64_t now_ms)
{
    int64_t price_ms = HOUR_MS / entry->updates_per_hour;
    for (size_t i = 0; i < 2; i++)
        if (changes[i] && entry->spent_ms[i] - now_ms > HOUR_MS - price_ms)
            return false;
    return true;
}

static void pay(struct host_entry *entry, const bool changes[static 2], int64_t now_ms)
{
    for (size_t i = 0; i < 2; i++)
        if (changes[i])
            entry->spent_ms[i] = (entry->spent_ms[i] > now_ms ? entry->spent_ms[i] : now_ms) +
                                 HOUR_MS / entry->updates_per_hour;
}

/* What is next for a host; changes nothing but the host of the update. */
static enum step decide(struct update_host *host, struct host_entry *entry,
                        bool ret_changes[static 2])
{
    const struct update *update = host->update;
    enum update_code code = access_check(update, entry);

    if (code != UPDATE_OPEN)
        return code_set(host, code);
    if (entry->blocked != NULL &&
        (entry->blocked_until_s == 0 || entry->blocked_until_s > update->now_ms / 1000)) {
        snprintf(host->reason, sizeof(host->reason), "%s", entry->blocked);
        return code_set(host, UPDATE_ABUSE);
    }
    if (entry->life == HOST_EXPIRED)
        return code_set(host, UPDATE_NOHOST);
    if (update->wish.txt != NULL)
        return STEP_TABLES;
    if (update->wish.offline)
        return entry->life == HOST_OFFLINE ? code_set(host, UPDATE_NOCHG) : STEP_TABLES;
    if (entry->life == HOST_OFFLINE || !entry->is_clean)
        return STEP_TABLES;
    targets_set(host, entry);
    changes_find(host, entry, ret_changes);
    entry->seen_s = update->now_ms / 1000;
    if (!ret_changes[0] && !ret_changes[1])
        return code_set(host, UPDATE_NOCHG);
    return STEP_SUBMIT;
}

/* ---- Towards the name server ---- */

struct coming_back {
    struct update_host *host;
    const struct dns_outcome *outcome;
    bool must_forget;
};

static void on_back_look(struct host_entry *entry, void *context)
{
    struct coming_back *back = context;
    const struct update_host *host = back->host;

    assert(entry->in_flight > 0);
    entry->in_flight--;
    if (back->outcome->result == DNS_NOT_REACHED)
        entry->knows_addresses = false; /* it may have been made, or not */
    if (back->outcome->result != DNS_DONE)
        return;
    if (!entry->knows_addresses) {
        back->must_forget = true; /* the server answers again: ask it */
        return;
    }
    if (host->update->wish.a != FAMILY_KEEP) {
        entry->addresses.has_a = host->set.has_a;
        memcpy(entry->addresses.a, host->set.a, sizeof(host->set.a));
    }
    if (host->update->wish.aaaa != FAMILY_KEEP) {
        entry->addresses.has_aaaa = host->set.has_aaaa;
        memcpy(entry->addresses.aaaa, host->set.aaaa, sizeof(host->set.aaaa));
    }
}

static void on_done(void *context, const struct dns_outcome *outcome)
{
    struct update_host *host = context;
    struct host_cache *cache = host->update->hosts->cache;
    struct coming_back back = {.host = host, .outcome = outcome};

    host_cache_look_at(cache, host->name, host->serial, on_back_look, &back);
    if (back.must_forget)
        host_cache_forget(cache, host->name);
    if (outcome->result == DNS_REFUSED)
        hosts_complain(host->update->hosts, host->name, outcome->why);
    host_end(host, outcome->result == DNS_DONE ? UPDATE_GOOD : UPDATE_DNSERR);
}

/* Both families go in one change: they happen together. */
static int submit(struct update_host *host, const struct host_entry *entry, struct error *ret_error)
{
    const struct update_wish *wish = &host->update->wish;
    const struct dns_value a = {host->set.a, sizeof(host->set.a)};
    const struct dns_value aaaa = {host->set.aaaa, sizeof(host->set.aaaa)};
    const uint32_t ttl_s = entry->zone->ttl_s;
    struct dns_set sets[2];
    size_t count = 0;

    if (wish->a != FAMILY_KEEP) {
        sets[count] = (struct dns_set){
            .type = KNOT_RRTYPE_A, .ttl_s = ttl_s, .values = &a, .count = host->set.has_a};
        count++;
    }
    if (wish->aaaa != FAMILY_KEEP) {
        sets[count] = (struct dns_set){
            .type = KNOT_RRTYPE_AAAA, .ttl_s = ttl_s, .values = &aaaa, .count = host->set.has_aaaa};
        count++;
    }
    const struct dns_change change = {
        .zone = entry->zone->name, .host = host->name, .sets = sets, .set_count = count};
    return dns_updater_submit(host->update->hosts->desk->dns_updater, &change, on_done, host,
                              ret_error);
}

/* ---- Step by step ---- */

struct looking {
    struct update_host *host;
    enum step step;
};

static void submit_step(struct looking *looking, struct host_entry *entry,
                        const bool changes[static 2])
{
    struct update_host *host = looking->host;
    struct error error;

    if (!may_pay(entry, changes, host->update->now_ms)) {
        snprintf(host->reason, sizeof(host->reason), "too-many-updates");
        looking->step = code_set(host, UPDATE_LIMITED);
        return;
    }
    /* Before it is handed over: it may be back before this returns. */
    host->serial = entry->serial;
    entry->in_flight++;
    int rc = submit(host, entry, &error);
    if (rc == 0) {
        pay(entry, changes, host->update->now_ms);
        return;
    }
    entry->in_flight--;
    looking->step = code_set(host, rc == -EIO ? UPDATE_DNSERR : UPDATE_FAILED);
}

static void step_look(struct host_entry *entry, void *context)
{
    struct looking *looking = context;
    bool changes[2];

    looking->step = decide(looking->host, entry, changes);
    if (looking->step == STEP_SUBMIT)
        submit_step(looking, entry, changes);
}

static void tables_run(struct host_work *work, struct store *store);
static void advance(struct update_host *host);

static void on_wake(struct host_waiter *waiter, int rc)
{
    struct update_host *host = (struct update_host *)waiter;
    if (rc < 0)
        host_end(host, UPDATE_FAILED);
    else
        advance(host);
}

/* After this the host may be gone. */
static void advance(struct update_host *host)
{
    struct hosts *hosts = host->update->hosts;
    struct looking looking = {.host = host};
    uint64_t serial;

    host->waiter.wake = on_wake;
    int rc = host->attempts++ < ATTEMPTS_MAX
                 ? host_cache_look_or_wait(hosts->cache, host->name, step_look, &looking,
                                           &host->waiter, &serial)
                 : -EAGAIN;
    if (rc == 2) {
        host_load_start(hosts, host->name, serial);
    } else if (rc < 0) {
        host_end(host, UPDATE_FAILED);
    } else if (rc == 0 && looking.step == STEP_CODE) {
        host_end(host, host->code);
    } else if (rc == 0 && looking.step == STEP_TABLES) {
        host->work.run = tables_run;
        if (!host_workers_take(hosts->loaders, &host->work))
            host_end(host, UPDATE_FAILED);
    }
}

/* ---- What the tables have to know ---- */

/* A host that is only to be cleaned needs no change. */
static int online_change(struct store *store, const struct change *change, const char *name,
                         struct error *ret_error)
{
    struct host_row row;
    int rc = host_row_find(store, name, &row, ret_error);
    if (rc < 0 || strcmp(row.state, "active") == 0)
        return rc;
    return host_life_change(store, change, name, false, ret_error);
}

static int tables_change(struct update_host *host, struct store *store, struct error *ret_error)
{
    const struct update *update = host->update;
    /* Who has a host's key acts for its owner. */
    struct principal who = {.kind = PRINCIPAL_TOKEN, .role = ROLE_CUSTOMER};
    const struct change change = {
        .now_ms = update->now_ms, .who = &who, .client = update->client_text};

    if (update->wish.txt != NULL)
        return host_txt_change(store, &change, host->name,
                               update->wish.txt_clear ? HOST_TXT_CLEAR : HOST_TXT_ONLY,
                               update->wish.txt, ret_error);
    if (update->wish.offline)
        return host_life_change(store, &change, host->name, true, ret_error);
    return online_change(store, &change, host->name, ret_error);
}

static void tables_run(struct host_work *work, struct store *store)
{
    struct update_host *host =
        (struct update_host *)((char *)work - offsetof(struct update_host, work));
    struct update *update = host->update;
    struct hosts *hosts = update->hosts;
    bool goes_on = update->wish.txt == NULL && !update->wish.offline;
    struct error error;

    int rc = tables_change(host, store, &error);
    hosts_forget(hosts->desk, host->name);
    if (rc < 0) {
        hosts_complain(hosts, host->name, error.text);
        host_end(host, rc == -ENOENT ? UPDATE_NOHOST : UPDATE_FAILED);
        return;
    }
    rc = host_sync_now(hosts, store, host->name, &error);
    outbox_wake(hosts->desk);
    if (rc == 0 && goes_on)
        advance(host);
    else
        host_end(host, rc == 0 ? UPDATE_GOOD : UPDATE_DNSERR);
}

/* ---- The whole ---- */

static void update_go(struct update *update)
{
    size_t count = update->count; /* the last host takes the update with it */
    for (size_t i = 0; i < count; i++)
        if (update->list[i].code == UPDATE_OPEN)
            advance(&update->list[i]);
}

/* In the thread for passwords, or a loader for tokens. */
static void credential_run(struct host_work *work, struct store *store)
{
    struct update *update = (struct update *)((char *)work - offsetof(struct update, work));
    struct error error = {0};

    int rc = host_credentials_check(update->hosts->credentials, store, update->credential,
                                    update->now_ms / 1000, update->account, &error);
    if (rc == 0) {
        /* One more than there are, so that no host takes the update away while it is gone over. */
        atomic_fetch_add(&update->left, 1);
        update_go(update);
        if (atomic_fetch_sub(&update->left, 1) == 1)
            update_finish(update);
        return;
    }
    if (rc != -EACCES)
        hosts_complain(update->hosts, "a host", error.text);
    update->whole = rc == -EACCES ? UPDATE_BADAUTH : UPDATE_FAILED;
    update_finish(update);
}

static void peek_look(struct host_entry *entry, void *context)
{
    struct update_host *host = context;
    bool changes[2];
    if (decide(host, entry, changes) != STEP_CODE)
        host->code = UPDATE_OPEN;
}

/* What memory knows; returns how many hosts stay open. */
static unsigned peek(struct update *update)
{
    unsigned open = 0;
    for (size_t i = 0; i < update->count; i++) {
        struct update_host *host = &update->list[i];
        if (host->code != UPDATE_OPEN)
            continue;
        if (host_zone_find(&update->hosts->desk->config->hosts, host->name) == NULL) {
            host->code =
                update->credential->kind == CREDENTIAL_KEY ? UPDATE_BADAUTH : UPDATE_NOHOST;
            continue;
        }
        int rc = host_cache_look(update->hosts->cache, host->name, peek_look, host);
        open += rc < 0 || host->code == UPDATE_OPEN;
    }
    return open;
}

static bool wants_check(struct update *update)
{
    if (update->credential->kind == CREDENTIAL_KEY)
        return false;
    int rc = host_credentials_find(update->hosts->credentials, update->credential,
                                   update->now_ms / 1000, update->account);
    if (rc == -EACCES)
        update->whole = UPDATE_BADAUTH;
    return rc == -ENOENT;
}

static int answer_now(struct update *update, struct reply *reply)
{
    int rc = answer_make(update, reply);
    host_update_free(update);
    return rc;
}

/* Has the request wait. The update is not the caller's any more. */
static int go_on_later(struct update *update, struct request *request, bool must_check,
                       struct error *ret_error)
{
    struct hosts *hosts = update->hosts;

    update->pending = request_suspend(request);
    if (update->pending == NULL) {
        host_update_free(update);
        return error_set(ret_error, -EAGAIN, "too many updates wait");
    }
    if (must_check) {
        struct host_workers *workers =
            update->credential->kind == CREDENTIAL_PASSWORD ? hosts->passwords : hosts->loaders;
        update->work.run = credential_run;
        if (!host_workers_take(workers, &update->work)) {
            update->whole = UPDATE_FAILED;
            update_finish(update);
        }
        return HANDLER_PENDING;
    }
    atomic_fetch_add(&update->left, 1);
    update_go(update);
    if (atomic_fetch_sub(&update->left, 1) == 1)
        update_finish(update);
    return HANDLER_PENDING;
}

int host_update_run(struct update *update, struct request *request, struct reply *reply,
                    struct error *ret_error)
{
    bool must_check = update->whole == UPDATE_OPEN && wants_check(update);
    if (update->whole != UPDATE_OPEN)
        return answer_now(update, reply);

    unsigned open = 0;
    if (!must_check)
        open = peek(update);
    else
        for (size_t i = 0; i < update->count; i++)
            open += update->list[i].code == UPDATE_OPEN;
    if (open == 0 && !must_check)
        return answer_now(update, reply);
    /* Of who is known to belong to an account no lookup is a guess. */
    bool is_guess = must_check || update->credential->kind == CREDENTIAL_KEY;
    update->has_guess =
        is_guess && host_guess_take(update->hosts->credentials, update->credential,
                                    (const struct sockaddr *)&update->client, update->now_ms);
    if (is_guess && !update->has_guess) {
        update->whole = UPDATE_FAILED;
        return answer_now(update, reply);
    }
    atomic_store(&update->left, open);
    return go_on_later(update, request, must_check, ret_error);
}
