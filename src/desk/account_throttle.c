/* How often a password, a code or a mail may be asked for. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "desk/accounts_internal.h"
#include "desk/desk.h"

/* One client guesses at one account: who mistypes gets ten tries, who guesses one a minute. */
static const struct throttle_rate pair_rate = {10, 60};
/* One client guesses at many accounts; a whole office may sit behind it. */
static const struct throttle_rate client_rate = {50, 10};
/* Many clients guess at one account: wide, since it also keeps the owner out, and with passwords of
 * ten characters narrow enough. */
static const struct throttle_rate account_rate = {100, 30};
/* Six digits, three of which are right, behind a right password: 288 tries a day find one in three
 * years. */
static const struct throttle_rate code_rate = {5, 300};

/* Mails to one address, known or not, and those that one client causes. */
static const struct throttle_rate mail_address_rate = {3, 1200};
static const struct throttle_rate mail_client_rate = {20, 60};

/* Who holds an IPv6 prefix holds all of its addresses: /64 is one client. */
static const char *client_text(const struct request *request, char text[static INET6_ADDRSTRLEN])
{
    const struct sockaddr *client = request_client(request);
    if (client->sa_family != AF_INET6)
        return request_client_text(request);
    struct in6_addr prefix = ((const struct sockaddr_in6 *)client)->sin6_addr;
    memset(prefix.s6_addr + 8, 0, 8);
    return inet_ntop(AF_INET6, &prefix, text, INET6_ADDRSTRLEN);
}

#define GUESS_BUCKETS_MAX 4

struct guess_bucket {
    uint64_t key;
    struct throttle_rate rate;
};

static size_t buckets_of(const struct request *request, enum guess guess, const char *who,
                         struct guess_bucket buckets[static GUESS_BUCKETS_MAX])
{
    const struct throttle *throttle = request_desk(request)->accounts->throttle;
    char prefix[INET6_ADDRSTRLEN], pair[EMAIL_SIZE_MAX + INET6_ADDRSTRLEN + 2];
    size_t count = 0;

    if (guess == GUESS_CODE) {
        buckets[count++] = (struct guess_bucket){throttle_key(throttle, "code", who), code_rate};
        return count;
    }
    const char *client = client_text(request, prefix);
    (void)snprintf(pair, sizeof(pair), "%s %s", client, who);
    buckets[count++] = (struct guess_bucket){throttle_key(throttle, "pair", pair), pair_rate};
    /* Who has signed in guesses at no account but its own. */
    if (guess == GUESS_OWN_PASSWORD)
        return count;
    buckets[count++] = (struct guess_bucket){throttle_key(throttle, "client", client), client_rate};
    buckets[count++] = (struct guess_bucket){throttle_key(throttle, "account", who), account_rate};
    return count;
}

unsigned guess_take(const struct request *request, enum guess guess, const char *who)
{
    struct throttle *throttle = request_desk(request)->accounts->throttle;
    struct guess_bucket buckets[GUESS_BUCKETS_MAX];
    const size_t count = buckets_of(request, guess, who, buckets);

    for (size_t i = 0; i < count; i++) {
        unsigned wait_s =
            throttle_take(throttle, buckets[i].key, buckets[i].rate, request_now_ms(request));
        if (wait_s == 0)
            continue;
        while (i > 0) {
            i--;
            throttle_give(throttle, buckets[i].key, buckets[i].rate);
        }
        return wait_s;
    }
    return 0;
}

void guess_give(const struct request *request, enum guess guess, const char *who)
{
    struct throttle *throttle = request_desk(request)->accounts->throttle;
    struct guess_bucket buckets[GUESS_BUCKETS_MAX];
    const size_t count = buckets_of(request, guess, who, buckets);

    for (size_t i = 0; i < count; i++)
        throttle_give(throttle, buckets[i].key, buckets[i].rate);
}

bool mail_may_go(const struct request *request, const char *email)
{
    struct throttle *throttle = request_desk(request)->accounts->throttle;
    return throttle_take(throttle, throttle_key(throttle, "mail", email), mail_address_rate,
                         request_now_ms(request)) == 0;
}

unsigned mail_ask(const struct request *request)
{
    struct throttle *throttle = request_desk(request)->accounts->throttle;
    char prefix[INET6_ADDRSTRLEN];
    return throttle_take(throttle, throttle_key(throttle, "mails", client_text(request, prefix)),
                         mail_client_rate, request_now_ms(request));
}

int reply_too_many(struct reply *reply, unsigned wait_s)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%u", wait_s);
    if (reply_header_add(reply, "Retry-After", text) < 0)
        return -ENOMEM;
    return reply_problem(reply, 429, "too-many", "wait as long as Retry-After says", NULL,
                         "this was tried too often");
}
