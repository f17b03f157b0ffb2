#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include <cmocka.h>

#include "dns/serial.h"
#include "fake_origin.h"
#include "server/refresh.h"
#include "server/soa_timers.h"
#include "server/timer_heap.h"
#include "zone/origin_link.h"

#include <libknot/descriptor.h>
#include <libknot/dname.h>

#define ZONES_MAX 220

/* Long enough for a machine that is busy with something else. */
#define PATIENCE_MS 20000

/* ---- An origin whose zones all look alike ---- */

struct origin_script {
    _Atomic(uint32_t) serial;
    uint32_t refresh_s, retry_s, expire_s;
    _Atomic(int) rcode;
    _Atomic(bool) is_silent;
    _Atomic(unsigned) soa_queries, transfers;
};

static void answer(void *context, const struct fake_exchange *exchange)
{
    struct origin_script *script = context;
    const bool is_transfer = exchange_type(exchange) == KNOT_RRTYPE_AXFR;
    char apex[256];
    struct message message;

    atomic_fetch_add(is_transfer ? &script->transfers : &script->soa_queries, 1);
    if (script->is_silent)
        return;
    assert_non_null(knot_dname_to_str(apex, exchange->query + 12, sizeof(apex)));
    message_begin(&message, exchange, true);
    message_rcode(&message, (unsigned)script->rcode);
    const uint32_t serial = script->serial;
    if (script->rcode == 0) {
        message_add_soa(&message, apex, serial, script->refresh_s, script->retry_s,
                        script->expire_s);
        if (is_transfer) {
            message_add_ns(&message, apex);
            message_add_soa(&message, apex, serial, script->refresh_s, script->retry_s,
                            script->expire_s);
        }
    }
    message_send(&message, exchange);
}

/* ---- The side that is told ---- */

struct fixture {
    struct zone zones[ZONES_MAX];
    struct sockaddr_in addresses[ZONES_MAX][2];
    struct transfer_source sources[ZONES_MAX][2];
    struct refresh_zone refresh_zones[ZONES_MAX];
    size_t count;
    _Atomic(uint32_t) serials[ZONES_MAX];
    _Atomic(unsigned) publications, expirations, publications_to_fail;
    struct refresher *refresher;
};

static size_t index_of(const struct fixture *fixture, const struct zone *zone)
{
    return (size_t)(zone - fixture->zones);
}

static int on_publish(void *context, struct zone *zone, struct zone_data *data)
{
    struct fixture *fixture = context;
    if (atomic_load(&fixture->publications_to_fail) > 0) {
        atomic_fetch_sub(&fixture->publications_to_fail, 1);
        return -ENOMEM;
    }
    zone_data_free(zone->data);
    zone->data = data;
    fixture->serials[index_of(fixture, zone)] = data->soa.serial;
    atomic_store(&zone->status, ZONE_SERVING);
    atomic_fetch_add(&fixture->publications, 1);
    return 0;
}

static void on_expire(void *context, struct zone *zone)
{
    struct fixture *fixture = context;
    atomic_store(&zone->status, ZONE_EXPIRED);
    atomic_fetch_add(&fixture->expirations, 1);
}

static void on_log(void *context, int level, const char *text)
{
    (void)context;
    assert_in_range((unsigned)level, LOG_EMERG, LOG_DEBUG);
    assert_null(strchr(text, '\n'));
}

/* An origin may go and come back, so its address is kept apart. */
static void add_source(struct fixture *fixture, const struct fake_origin *origin)
{
    struct refresh_zone *zone = &fixture->refresh_zones[fixture->count];
    struct sockaddr_in *address = &fixture->addresses[fixture->count][zone->source_count];
    *address = origin->address;
    fixture->sources[fixture->count][zone->source_count++] = (struct transfer_source){
        .origin = (const struct sockaddr *)address,
        .origin_size = sizeof(*address),
        .idle_timeout_ms = 300,
    };
}

static struct zone *add_zone(struct fixture *fixture, const struct fake_origin *first,
                             const struct fake_origin *second)
{
    const size_t at = fixture->count;
    struct zone *zone = &fixture->zones[at];
    uint8_t wire[KNOT_DNAME_MAXLEN];

    snprintf(zone->text, sizeof(zone->text), "z%zu.example", at);
    assert_non_null(knot_dname_from_str(wire, zone->text, sizeof(wire)));
    assert_true(name_parse(&zone->name, wire, sizeof(wire)) > 0);
    zone->role = ZONE_SECONDARY;
    fixture->refresh_zones[at] =
        (struct refresh_zone){.zone = zone, .sources = fixture->sources[at]};
    add_source(fixture, first);
    if (second != NULL)
        add_source(fixture, second);
    fixture->count++;
    return zone;
}

static void start(struct fixture *fixture, unsigned threads)
{
    const struct refresh_handlers handlers = {
        .publish = on_publish, .expire = on_expire, .log = on_log, .context = fixture};
    struct error error;
    if (refresher_start(fixture->refresh_zones, fixture->count, threads, &handlers,
                        &fixture->refresher, &error) != 0)
        fail_msg("%s", error.text);
}

static struct fixture *fixture_create(void)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    refresher_stop(fixture->refresher);
    for (size_t i = 0; i < fixture->count; i++)
        zone_data_free(fixture->zones[i].data);
    free(fixture);
}

static void sleep_ms(unsigned ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

#define assert_eventually(condition)                            \
    do {                                                        \
        const int64_t until_ms_ = monotonic_ms() + PATIENCE_MS; \
        while (!(condition) && monotonic_ms() < until_ms_)      \
            sleep_ms(5);                                        \
        assert_true(condition);                                 \
    } while (0)

static struct origin_script steady(uint32_t serial)
{
    return (struct origin_script){
        .serial = serial, .refresh_s = 3600, .retry_s = 600, .expire_s = 86400};
}

/* ---- Tests ---- */

static void test_transfers_every_zone_at_once(void **state)
{
    struct origin_script script = steady(5);
    struct fake_origin origin;
    struct fixture *fixture = fixture_create();
    fake_origin_start(&origin, answer, &script);
    for (int i = 0; i < 23; i++)
        add_zone(fixture, &origin, NULL);
    start(fixture, 2);

    assert_int_equal(refresher_wait_first(fixture->refresher, PATIENCE_MS), 23);
    assert_int_equal(fixture->publications, 23);
    const struct zone *zone = &fixture->zones[22];
    assert_int_equal(fixture->serials[22], 5);
    assert_int_equal(zone->transfers, 1);
    assert_in_range((uint64_t)zone->checked_at, (uint64_t)time(NULL) - 30, (uint64_t)time(NULL));
    assert_int_equal(zone->expires_at - zone->checked_at, 86400);
    fixture_free(fixture);
    fake_origin_stop(&origin);
    (void)state;
}

static void test_follows_the_serial_by_the_refresh_timer(void **state)
{
    struct origin_script script = steady(5);
    struct fake_origin origin;
    struct fixture *fixture = fixture_create();
    script.refresh_s = 1;
    fake_origin_start(&origin, answer, &script);
    add_zone(fixture, &origin, NULL);
    start(fixture, 2);

    assert_int_equal(refresher_wait_first(fixture->refresher, PATIENCE_MS), 1);
    assert_eventually(script.soa_queries >= 2);
    assert_int_equal(script.transfers, 1); /* nothing new, nothing moved */
    script.serial = 6;
    assert_eventually(fixture->serials[0] == 6);
    fixture_free(fixture);
    fake_origin_stop(&origin);
    (void)state;
}

static void test_a_poke_brings_the_new_serial_at_once_and_a_held_one_asks_nobody(void **state)
{
    struct origin_script script = steady(5);
    struct fake_origin origin;
    struct fixture *fixture = fixture_create();
    fake_origin_start(&origin, answer, &script);
    struct zone *zone = add_zone(fixture, &origin, NULL);
    start(fixture, 2);
    assert_int_equal(refresher_wait_first(fixture->refresher, PATIENCE_MS), 1);

    refresher_poke(fixture->refresher, zone, 5);
    refresher_poke(fixture->refresher, zone, 4);
    sleep_ms(500);
    /* Two different hints may make one open question. */
    assert_true(script.soa_queries <= 1);
    const unsigned queries = script.soa_queries;
    refresher_poke(fixture->refresher, zone, 5);
    sleep_ms(500);
    assert_int_equal(script.soa_queries, queries);

    script.serial = 7;
    refresher_poke(fixture->refresher, zone, 7);
    assert_eventually(fixture->serials[0] == 7);
    script.serial = 8;
    refresher_poke(fixture->refresher, zone, 0);
    assert_eventually(fixture->serials[0] == 8);

    struct zone stranger = {.text = "x.example"};
    refresher_poke(fixture->refresher, &stranger, 0);
    fixture_free(fixture);
    fake_origin_stop(&origin);
    (void)state;
}

static void test_a_storm_of_pokes_makes_few_queries(void **state)
{
    struct origin_script script = steady(5);
    struct fake_origin origin;
    struct fixture *fixture = fixture_create();
    fake_origin_start(&origin, answer, &script);
    struct zone *zone = add_zone(fixture, &origin, NULL);
    start(fixture, 2);
    assert_int_equal(refresher_wait_first(fixture->refresher, PATIENCE_MS), 1);

    const int64_t started_ms = monotonic_ms();
    while (monotonic_ms() < started_ms + 1000)
        for (int i = 0; i < 100; i++)
            refresher_poke(fixture->refresher, zone, 0);
    const int64_t took_ms = monotonic_ms() - started_ms;
    assert_in_range(script.soa_queries, 1, (unsigned)(took_ms / 200 + 2));
    fixture_free(fixture);
    fake_origin_stop(&origin);
    (void)state;
}

static void test_a_notified_serial_is_looked_for_at_every_origin(void **state)
{
    struct origin_script lagging = steady(5), leading = steady(5);
    struct fake_origin first, second;
    struct fixture *fixture = fixture_create();
    fake_origin_start(&first, answer, &lagging);
    fake_origin_start(&second, answer, &leading);
    struct zone *zone = add_zone(fixture, &first, &second);
    start(fixture, 2);
    assert_int_equal(refresher_wait_first(fixture->refresher, PATIENCE_MS), 1);
    assert_int_equal(leading.transfers, 0);

    leading.serial = 6;
    refresher_poke(fixture->refresher, zone, 6);
    assert_eventually(fixture->serials[0] == 6);
    assert_int_equal(leading.transfers, 1);
    fixture_free(fixture);
    fake_origin_stop(&first);
    fake_origin_stop(&second);
    (void)state;
}

static void test_expires_when_the_origin_is_gone_and_serves_again_when_the_origin_is_back(
    void **state)
{
    struct origin_script script = steady(5);
    struct fake_origin origin;
    struct fixture *fixture = fixture_create();
    script.refresh_s = script.retry_s = 1;
    script.expire_s = 3;
    fake_origin_start(&origin, answer, &script);
    struct zone *zone = add_zone(fixture, &origin, NULL);
    start(fixture, 2);
    assert_int_equal(refresher_wait_first(fixture->refresher, PATIENCE_MS), 1);
    assert_eventually(script.soa_queries >= 4); /* kept alive beyond its expire time */
    assert_int_equal(fixture->expirations, 0);

    const uint16_t port = ntohs(origin.address.sin_port);
    fake_origin_stop(&origin);
    const int64_t stopped_ms = monotonic_ms();
    assert_eventually(zone->status == ZONE_EXPIRED);
    assert_in_range((uint64_t)(monotonic_ms() - stopped_ms), 1000, PATIENCE_MS);
    assert_int_equal(fixture->expirations, 1);
    char text[512];
    zone_last_error_get(zone, text, sizeof(text));
    assert_non_null(strstr(text, "is the server running"));

    fake_origin_start_at(&origin, port, answer, &script);
    assert_eventually(zone->status == ZONE_SERVING);
    assert_int_equal(fixture->serials[0], 5); /* the same serial, a fresh copy */
    assert_int_equal(fixture->publications, 2);
    zone_last_error_get(zone, text, sizeof(text));
    assert_string_equal(text, "");
    fixture_free(fixture);
    fake_origin_stop(&origin);
    (void)state;
}

static void test_keeps_its_data_when_the_origin_has_an_older_serial(void **state)
{
    struct origin_script script = steady(5);
    struct fake_origin origin;
    struct fixture *fixture = fixture_create();
    fake_origin_start(&origin, answer, &script);
    struct zone *zone = add_zone(fixture, &origin, NULL);
    start(fixture, 2);
    assert_int_equal(refresher_wait_first(fixture->refresher, PATIENCE_MS), 1);

    script.serial = 4;
    refresher_poke(fixture->refresher, zone, 0);
    assert_eventually(zone->transfer_failures == 1);
    char text[512];
    zone_last_error_get(zone, text, sizeof(text));
    assert_non_null(strstr(text, "has serial 4, older than our 5"));
    assert_int_equal(fixture->serials[0], 5);
    fixture_free(fixture);
    fake_origin_stop(&origin);
    (void)state;
}

static void test_a_refused_first_transfer_is_tried_again(void **state)
{
    struct origin_script script = steady(5);
    struct fake_origin origin;
    struct fixture *fixture = fixture_create();
    script.rcode = 5;
    fake_origin_start(&origin, answer, &script);
    struct zone *zone = add_zone(fixture, &origin, NULL);
    start(fixture, 2);

    assert_int_equal(refresher_wait_first(fixture->refresher, PATIENCE_MS), 0);
    assert_int_equal(zone->status, ZONE_UNLOADED);
    assert_eventually(zone->transfer_failures == 2);
    script.rcode = 0;
    assert_eventually(zone->status == ZONE_SERVING);
    fixture_free(fixture);
    fake_origin_stop(&origin);
    (void)state;
}

static void test_a_dead_origin_of_many_zones_starves_no_other(void **state)
{
    struct origin_script dead = steady(5), alive = steady(6);
    struct fake_origin dead_origin, alive_origin;
    struct fixture *fixture = fixture_create();
    dead.is_silent = true;
    fake_origin_start(&dead_origin, answer, &dead);
    fake_origin_start(&alive_origin, answer, &alive);
    for (int i = 0; i < 200; i++)
        add_zone(fixture, &dead_origin, NULL);
    for (int i = 0; i < 10; i++)
        add_zone(fixture, &alive_origin, NULL);
    struct zone *both = add_zone(fixture, &dead_origin, &alive_origin);
    start(fixture, 2);

    /* 200 time-outs of 0.3 s would take half a minute even for two threads. */
    const int64_t started_ms = monotonic_ms();
    assert_int_equal(refresher_wait_first(fixture->refresher, PATIENCE_MS), 11);
    assert_true(monotonic_ms() - started_ms < 15000);
    assert_int_equal(both->status, ZONE_SERVING);
    assert_true(dead.transfers < 10);
    char text[512];
    zone_last_error_get(&fixture->zones[150], text, sizeof(text));
    assert_string_not_equal(text, "");

    /* And once it is back, all its zones come. */
    dead.is_silent = false;
    for (int i = 0; i < 200; i++)
        assert_eventually(fixture->zones[i].status == ZONE_SERVING);
    fixture_free(fixture);
    fake_origin_stop(&dead_origin);
    fake_origin_stop(&alive_origin);
    (void)state;
}

static void test_stopping_interrupts_a_wait(void **state)
{
    struct origin_script script = steady(5);
    struct fake_origin origin;
    struct fixture *fixture = fixture_create();
    script.is_silent = true;
    fake_origin_start(&origin, answer, &script);
    add_zone(fixture, &origin, NULL);
    fixture->sources[0][0].idle_timeout_ms = PATIENCE_MS;
    start(fixture, 2);
    assert_eventually(script.transfers == 1);

    const int64_t started_ms = monotonic_ms();
    refresher_stop(fixture->refresher);
    fixture->refresher = NULL;
    assert_true(monotonic_ms() - started_ms < 2000);
    fixture_free(fixture);
    fake_origin_stop(&origin);
    (void)state;
}

static void test_a_zone_that_serves_already_goes_on_by_its_timers(void **state)
{
    struct origin_script script = steady(5);
    struct fake_origin origin;
    struct fixture *fixture = fixture_create();
    fake_origin_start(&origin, answer, &script);
    struct zone *zone = add_zone(fixture, &origin, NULL);
    start(fixture, 2);
    assert_int_equal(refresher_wait_first(fixture->refresher, PATIENCE_MS), 1);
    refresher_stop(fixture->refresher);

    start(fixture, 2);
    assert_int_equal(refresher_wait_first(fixture->refresher, PATIENCE_MS), 1);
    sleep_ms(300);
    assert_int_equal(script.transfers, 1);
    assert_int_equal(script.soa_queries, 0);

    /* One whose time passed while nobody looked expires and comes back. */
    refresher_stop(fixture->refresher);
    atomic_store(&zone->checked_at, (int64_t)time(NULL) - 90000);
    script.rcode = 2;
    start(fixture, 2);
    assert_eventually(zone->status == ZONE_EXPIRED);
    script.rcode = 0;
    assert_eventually(zone->status == ZONE_SERVING);
    fixture_free(fixture);
    fake_origin_stop(&origin);
    (void)state;
}

static void test_a_failed_publication_is_tried_again(void **state)
{
    struct origin_script script = steady(5);
    struct fake_origin origin;
    struct fixture *fixture = fixture_create();
    fixture->publications_to_fail = 1;
    fake_origin_start(&origin, answer, &script);
    struct zone *zone = add_zone(fixture, &origin, NULL);
    start(fixture, 2);

    assert_eventually(zone->status == ZONE_SERVING);
    assert_int_equal(script.transfers, 2);
    assert_int_equal(zone->transfer_failures, 1);

    /* Of a zone that serves, the older copy stays until the newer one comes. */
    script.serial = 6;
    fixture->publications_to_fail = 1;
    refresher_poke(fixture->refresher, zone, 6);
    assert_eventually(zone->transfer_failures == 2);
    assert_int_equal(fixture->serials[0], 5);
    refresher_poke(fixture->refresher, zone, 6);
    assert_eventually(fixture->serials[0] == 6);
    fixture_free(fixture);
    fake_origin_stop(&origin);
    (void)state;
}

static void test_serials_wrap_around(void **state)
{
    assert_true(serial_is_newer(2, 1));
    assert_false(serial_is_newer(1, 1));
    assert_false(serial_is_newer(1, 2));
    assert_true(serial_is_newer(0, UINT32_MAX));
    assert_true(serial_is_newer(0x7fffffff, 0));
    assert_false(serial_is_newer(0x80000000, 0)); /* undefined by RFC 1982: neither */
    assert_false(serial_is_newer(0, 0x80000000));
    (void)state;
}

static void test_timers_keep_their_bounds(void **state)
{
    const struct soa usual = {.refresh_s = 3600, .retry_s = 600, .expire_s = 86400};
    const struct soa zero = {.refresh_s = 0};
    const struct soa huge = {
        .refresh_s = UINT32_MAX, .retry_s = UINT32_MAX, .expire_s = UINT32_MAX};
    const struct soa short_lived = {.refresh_s = 3600, .retry_s = 600, .expire_s = 100};
    for (int i = 0; i < 1000; i++) {
        assert_in_range((uint64_t)soa_refresh_ms(&usual, soa_expire_ms(&usual)), 3240000, 3960000);
        assert_in_range((uint64_t)soa_retry_ms(&usual), 540000, 660000);
        assert_in_range((uint64_t)soa_refresh_ms(&zero, soa_expire_ms(&zero)), 1000, 1000);
        assert_in_range((uint64_t)soa_refresh_ms(&huge, soa_expire_ms(&huge)), 1,
                        INT64_C(2700000000));
        assert_in_range((uint64_t)soa_refresh_ms(&short_lived, soa_expire_ms(&short_lived)), 45000,
                        55000);
        assert_in_range((uint64_t)backoff_ms(1), 1000, 1100);
        assert_in_range((uint64_t)backoff_ms(3), 3600, 4400);
        assert_in_range((uint64_t)backoff_ms(UINT32_MAX), 54000, 66000);
    }
    /* Of data that expires soon, since its origin has no primary: halfway to that. */
    assert_in_range((uint64_t)soa_refresh_ms(&usual, 600000), 270000, 330000);
    assert_in_range((uint64_t)soa_refresh_ms(&usual, -5), 1000, 1000);
    assert_int_equal(soa_expire_ms(&usual), 86400000);
    assert_int_equal(soa_expire_ms(&huge), (int64_t)UINT32_MAX * 1000);
    (void)state;
}

static void test_what_an_origin_has_spent_of_the_expire_time_counts(void **state)
{
    const struct soa soa = {.refresh_s = 3600, .retry_s = 600, .expire_s = 86400};
    assert_int_equal(soa_age_s(&soa, EXPIRE_UNTOLD), 0);
    assert_int_equal(soa_age_s(&soa, 86400), 0);
    assert_int_equal(soa_age_s(&soa, 90000), 0);
    assert_int_equal(soa_age_s(&soa, 86000), 400);
    /* It never expires on arrival, only to be transferred again and again. */
    assert_int_equal(soa_age_s(&soa, 0), 86398);
    (void)state;
}

static void test_the_heap_gives_timers_in_order(void **state)
{
    struct timer_heap heap;
    struct timer timers[300] = {{.place = 0}};
    const unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);
    assert_int_equal(timer_heap_init(&heap, 300), 0);
    for (int round = 0; round < 5000; round++) {
        struct timer *timer = &timers[random() % 300];
        if (random() % 4 == 0)
            timer_unset(&heap, timer);
        else
            timer_set(&heap, timer, random() % 1000);
    }
    size_t set = 0;
    for (int i = 0; i < 300; i++)
        set += timers[i].place != 0;
    int64_t before_ms = 0;
    for (; set > 0; set--) {
        struct timer *first = timer_heap_first(&heap);
        assert_true(first->due_ms >= before_ms);
        before_ms = first->due_ms;
        timer_unset(&heap, first);
    }
    assert_null(timer_heap_first(&heap));
    timer_heap_clear(&heap);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfers_every_zone_at_once),
        cmocka_unit_test(test_follows_the_serial_by_the_refresh_timer),
        cmocka_unit_test(test_a_poke_brings_the_new_serial_at_once_and_a_held_one_asks_nobody),
        cmocka_unit_test(test_a_storm_of_pokes_makes_few_queries),
        cmocka_unit_test(test_a_notified_serial_is_looked_for_at_every_origin),
        cmocka_unit_test(
            test_expires_when_the_origin_is_gone_and_serves_again_when_the_origin_is_back),
        cmocka_unit_test(test_keeps_its_data_when_the_origin_has_an_older_serial),
        cmocka_unit_test(test_a_refused_first_transfer_is_tried_again),
        cmocka_unit_test(test_a_dead_origin_of_many_zones_starves_no_other),
        cmocka_unit_test(test_stopping_interrupts_a_wait),
        cmocka_unit_test(test_a_zone_that_serves_already_goes_on_by_its_timers),
        cmocka_unit_test(test_a_failed_publication_is_tried_again),
        cmocka_unit_test(test_serials_wrap_around),
        cmocka_unit_test(test_timers_keep_their_bounds),
        cmocka_unit_test(test_what_an_origin_has_spent_of_the_expire_time_counts),
        cmocka_unit_test(test_the_heap_gives_timers_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
