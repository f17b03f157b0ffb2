/* Which of a zone's servers is asked next, and whether one may be asked at all. */
#include "front/origin_internal.h"

/* One question in so many goes to any server, so that one that has become faster is found. */
#define EXPLORE_ONE_IN 64

/* A server that answers nothing but failures is as one sixteen times as slow. */
#define FAILING_WEIGHT 15.0

/* Of the bad answers: about the last sixteen count. */
#define FAILING_SHARE (1.0 / 16)

/* Messages at once after a silence: what a tenth of a second allows. */
#define BURST_SHARE 0.1

/* Second questions: no more than one in ten, and some to begin with, so that an origin that slows
 * down as a whole is not asked twice as much for it. */
#define HEDGE_SHARE      0.1
#define HEDGE_CREDIT_MAX 32.0

static uint64_t failure_key(const struct question *question, const struct server *server)
{
    return question->key ^ server->salt;
}

static bool is_eligible(const struct origin_group *group, const struct question *question,
                        unsigned index, uint32_t excluded)
{
    const struct server *server = group->members[index].server;
    return (excluded >> index & 1) == 0 && !server_is_down(server) &&
           !failure_is_known(&group->pool->failures, failure_key(question, server),
                             group->pool->now_ms);
}

int group_choose(struct origin_group *group, const struct question *question, uint32_t excluded)
{
    int best = -1, count = 0;
    int eligible[ORIGIN_SERVERS_MAX];
    double best_score = 0;

    for (unsigned i = 0; i < group->member_count; i++) {
        if (!is_eligible(group, question, i, excluded))
            continue;
        const struct member *member = &group->members[i];
        const double score = server_score(member->server) * (1 + FAILING_WEIGHT * member->failing);
        eligible[count++] = (int)i;
        if (best < 0 || score < best_score) {
            best = (int)i;
            best_score = score;
        }
    }
    if (count > 1) {
        const uint16_t draw = random_u16(&group->pool->random);
        if (draw % EXPLORE_ONE_IN == 0)
            best = eligible[draw / EXPLORE_ONE_IN % (unsigned)count];
    }
    return best;
}

int group_probe(struct origin_group *group)
{
    for (unsigned i = 0; i < group->member_count; i++) {
        struct server *server = group->members[i].server;
        if (server_is_down(server) && server->down_until_ms <= group->pool->now_ms) {
            server_probed(server, group->pool->now_ms);
            return (int)i;
        }
    }
    return -1;
}

bool group_may_send(struct origin_group *group)
{
    if (group->rate_max == 0)
        return true;
    const double burst = group->rate_max * BURST_SHARE > 1 ? group->rate_max * BURST_SHARE : 1;
    const int64_t now_us = group->pool->now_us;
    group->tokens += (double)(now_us - group->tokens_us) * group->rate_max / 1e6;
    group->tokens_us = now_us;
    if (group->tokens > burst)
        group->tokens = burst;
    if (group->tokens < 1) {
        group->pool->counters.over_rate++;
        return false;
    }
    group->tokens -= 1;
    return true;
}

bool group_may_hedge(struct origin_group *group)
{
    if (group->hedge_credit < 1)
        return false;
    group->hedge_credit -= 1;
    return true;
}

void group_asked(struct origin_group *group)
{
    if (group->hedge_credit < HEDGE_CREDIT_MAX)
        group->hedge_credit += HEDGE_SHARE;
}

void group_judged(struct origin_group *group, const struct question *question, unsigned index,
                  bool is_good)
{
    struct member *member = &group->members[index];
    struct failure_memory *failures = &group->pool->failures;
    const uint64_t key = failure_key(question, member->server);

    member->failing += ((is_good ? 0 : 1) - member->failing) * FAILING_SHARE;
    if (is_good)
        failure_forget(failures, key);
    else
        failure_note(failures, key, group->pool->now_ms);
}

void group_ignored(struct origin_group *group, const struct question *question, unsigned index)
{
    failure_note(&group->pool->failures, failure_key(question, group->members[index].server),
                 group->pool->now_ms);
}
