/* Edits in place: whatever is done to a zone, it is then as one built anew from the same records,
 * and can be put back; readers and views go on meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <libknot/libknot.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/rcu.h"
#include "zone/zone_edit.h"
#include "zone/zone_view.h"
#include "zone_model.h"

#define ROUNDS 3000

static uint64_t seeded(void)
{
    uint64_t seed = (uint64_t)getpid() * UINT64_C(0x9e3779b97f4a7c15);
    const char *given = getenv("TEST_SEED");
    if (given != NULL)
        seed = strtoull(given, NULL, 0);
    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static struct zone_edit *begin(struct zone_data *data)
{
    struct zone_edit *edit;
    struct error error = {0};
    assert_int_equal(zone_edit_begin(data, &edit, &error), 0);
    return edit;
}

static void assert_same(const struct zone_data *data, const struct model *model)
{
    struct zone_data *built = model_build(model);
    model_compare(data, built);
    zone_data_free(built);
}

/* Changes that would make an invalid zone are refused before the commit, and can be taken back. */
static void change_some(struct model *model, struct zone_edit *edit, uint64_t *random)
{
    unsigned messages = (unsigned)(1 + model_random(random) % 4);
    for (unsigned i = 0; i < messages; i++) {
        struct model before = *model;
        struct zone_edit_mark mark = zone_edit_mark(edit);
        for (uint64_t left = 1 + model_random(random) % 6; left > 0; left--)
            model_change(model, edit, random);
        bool is_valid = model_is_valid(model);
        if (model_random(random) % 3 == 0 || !is_valid)
            assert_int_equal(zone_edit_prepare(edit), is_valid ? 0 : -EINVAL);
        if (!is_valid || model_random(random) % 4 == 0) {
            zone_edit_rewind(edit, &mark);
            *model = before;
        }
    }
}

static void commit(struct model *model, struct zone_edit *edit)
{
    if (zone_edit_changes(edit)->count > 0)
        assert_int_equal(zone_edit_set_serial(edit, ++model->serial), 0);
    assert_int_equal(zone_edit_prepare(edit), 0);
    zone_edit_commit(edit);
}

/* ---- Against a zone built anew ---- */

static void test_any_sequence_of_edits_makes_the_zone_that_is_built_from_its_records(void **state)
{
    (void)state;
    uint64_t random = seeded();
    struct model model;
    model_init(&model);
    struct zone_data *data = model_build(&model);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct zone_edit *edit = begin(data);
        struct model before = model;
        change_some(&model, edit, &random);
        if (model_random(&random) % 8 == 0)
            model = before; /* given up */
        else
            commit(&model, edit);
        zone_edit_end(edit);
        assert_same(data, &model);
    }
    zone_data_free(data);
}

static void test_changes_are_undone_and_made_again_by_their_list(void **state)
{
    (void)state;
    uint64_t random = seeded();
    struct model model;
    model_init(&model);
    struct zone_data *data = model_build(&model);
    for (unsigned round = 0; round < ROUNDS / 3; round++) {
        struct model before = model;
        struct zone_edit *edit = begin(data);
        change_some(&model, edit, &random);
        commit(&model, edit);
        const struct change_list *changes = zone_edit_changes(edit);
        size_t count;
        assert_true(change_list_check(changes->octets, changes->size, &count));
        assert_int_equal(count, changes->count);

        for (unsigned way = 0; way < 2; way++) {
            struct error error = {0};
            struct zone_edit *other = begin(data);
            assert_int_equal(
                zone_edit_apply(other, changes->octets, changes->size, way == 0, &error), 0);
            assert_int_equal(zone_edit_prepare(other), 0);
            zone_edit_commit(other);
            zone_edit_end(other);
            assert_same(data, way == 0 ? &before : &model);
        }
        if (count > 0) { /* not what the zone is at */
            struct error error = {0};
            struct zone_edit *other = begin(data);
            assert_int_equal(zone_edit_apply(other, changes->octets, changes->size, false, &error),
                             -EBADMSG);
            assert_true(strlen(error.text) > 0);
            zone_edit_end(other);
            assert_same(data, &model);
        }
        zone_edit_end(edit);
    }
    zone_data_free(data);
}

struct waiter {
    struct rcu_head head;
    _Atomic(bool) is_over;
};

static void grace_is_over(struct rcu_head *head)
{
    rcu_callback_begins();
    atomic_store(&((struct waiter *)head)->is_over, true);
}

/* Until all that was called for before has been called. */
static void wait_for_grace(void)
{
    static struct waiter waiter;
    atomic_store(&waiter.is_over, false);
    call_rcu(&waiter.head, grace_is_over);
    while (!atomic_load(&waiter.is_over))
        sched_yield();
}

/* ---- Views ---- */

struct open_view {
    struct zone_view *view;
    struct zone_data *built; /* what the zone was */
    const struct name_entry *seen[2 * MODEL_NAMES];
    uint64_t entries;
};

static void view_open(struct open_view *open, struct zone_data *data, const struct model *model)
{
    assert_int_equal(zone_view_open(data, &open->view), 0);
    open->built = model_build(model);
    open->entries = 0;
}

/* Reads on; returns false at the end, when all has been seen. */
static bool view_read(struct open_view *open, size_t max)
{
    const struct name_entry *entries[64];
    uint64_t slots[64];
    size_t count = zone_view_next(open->view, entries, slots, max);
    for (size_t i = 0; i < count; i++) {
        model_compare_entry(entries[i], open->built);
        assert_true(i == 0 || slots[i] > slots[i - 1]);
        assert_true(open->entries < 2 * MODEL_NAMES);
        open->seen[open->entries++] = entries[i];
    }
    return count > 0;
}

static void view_close(struct open_view *open)
{
    while (view_read(open, 64)) {
    }
    for (uint64_t i = 0; i < open->entries; i++) /* they have lived until now */
        model_compare_entry(open->seen[i], open->built);
    assert_int_equal(open->entries, open->built->entry_count);
    assert_int_equal(zone_view_soa(open->view)->serial, open->built->soa.serial);
    model_compare_entry(zone_view_apex(open->view), open->built);
    zone_view_close(TAKE(open->view));
    zone_data_free(open->built);
}

#define VIEWS 4

static void test_a_view_gives_what_the_zone_was_when_it_was_opened(void **state)
{
    (void)state;
    uint64_t random = seeded();
    struct model model;
    model_init(&model);
    struct zone_data *data = model_build(&model);
    struct open_view views[VIEWS] = {0};
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct open_view *view = &views[model_random(&random) % VIEWS];
        if (view->view == NULL)
            view_open(view, data, &model);
        else if (model_random(&random) % 8 == 0)
            view_close(view);
        else
            (void)view_read(view, (size_t)(1 + model_random(&random) % 16));

        struct zone_edit *edit = begin(data);
        change_some(&model, edit, &random);
        commit(&model, edit);
        zone_edit_end(edit);
        if (round % 32 == 0) /* what was replaced is used again, but for what views need */
            wait_for_grace();
        if (round % 64 == 0) /* the table grows */
            assert_int_equal(zone_data_reserve(data, data->table->capacity), 0);
        if (round % 512 == 511) { /* and another generation takes the zone's place */
            zone_data_retire(data);
            data = model_build(&model);
        }
    }
    for (size_t i = 0; i < VIEWS; i++) {
        if (views[i].view != NULL)
            view_close(&views[i]);
    }
    assert_same(data, &model);
    zone_data_free(data);
}

/* ---- Marks ---- */

static void test_marks_stay_with_their_names_while_these_come_and_go(void **state)
{
    (void)state;
    uint64_t random = seeded();
    struct model model;
    model_init(&model);
    struct zone_data *data = model_build(&model);
    bool marked[MODEL_NAMES] = {0};
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct name owner;
        unsigned name = (unsigned)(model_random(&random) % MODEL_NAMES);
        model_owner(name, &owner);
        marked[name] = !marked[name];
        if (marked[name])
            assert_int_equal(zone_data_mark(data, owner.wire), 0);
        else
            zone_data_unmark(data, owner.wire);

        struct zone_edit *edit = begin(data);
        change_some(&model, edit, &random);
        commit(&model, edit);
        zone_edit_end(edit);
        for (name = 0; name < MODEL_NAMES; name++) {
            model_owner(name, &owner);
            assert_int_equal(zone_data_find(data, &owner).marked, marked[name]);
        }
        assert_same(data, &model);
    }
    assert_true(data->table->capacity < 1000);
    zone_data_free(data);
}

/* ---- What is refused ---- */

static void test_what_no_zone_can_hold_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    struct zone_data *data = model_build(&model);
    struct zone_edit *edit = begin(data);
    static const uint8_t soa[22], address[] = {192, 0, 2, 1};
    struct name host, apex;
    bool changed;
    model_owner(1, &host);
    model_owner(0, &apex);
    assert_int_equal(zone_edit_add(edit, &host, KNOT_RRTYPE_SOA, 1, soa, 22, &changed), -EINVAL);
    assert_int_equal(zone_edit_add(edit, &host, KNOT_RRTYPE_ANY, 1, address, 4, &changed), -EINVAL);
    assert_int_equal(zone_edit_add(edit, &host, KNOT_RRTYPE_NSEC3, 1, soa, 22, &changed), -EPERM);
    static const uint8_t aliases[] = {0, 1, 0, 0, 3, 1, 'a', 0};
    struct rrset rrset = {
        .type = KNOT_RRTYPE_CNAME, .rr_count = 2, .size = sizeof(aliases), .data = aliases};
    assert_int_equal(zone_edit_put(edit, &host, &rrset), -EINVAL);
    assert_int_equal(zone_edit_changes(edit)->count, 0);

    struct rrset none = {.type = KNOT_RRTYPE_NS};
    assert_int_equal(zone_edit_put(edit, &apex, &none), 0);
    assert_int_equal(zone_edit_prepare(edit), -EINVAL);
    zone_edit_end(edit);
    assert_same(data, &model);
    zone_data_free(data);
}

static void test_a_zone_without_data_and_a_signed_one_cannot_be_edited(void **state)
{
    (void)state;
    static const uint8_t apex[] = "\1a\7example", nsec[] = "\1a\7example\0\0\1\x62";
    static const uint8_t soa[22];
    struct zone_data *data;
    struct zone_edit *edit;
    struct error error = {0};
    assert_int_equal(zone_data_create_empty(apex, &data), 0);
    assert_int_equal(zone_edit_begin(data, &edit, &error), -ENODATA);
    zone_data_free(data);

    struct zone_builder *builder;
    assert_int_equal(zone_builder_create(apex, &builder), 0);
    assert_int_equal(zone_builder_add(builder, apex, KNOT_RRTYPE_SOA, 60, soa, 22, &error), 0);
    assert_int_equal(zone_builder_add(builder, apex, KNOT_RRTYPE_NS, 60, apex, 11, &error), 0);
    assert_int_equal(zone_builder_add(builder, apex, KNOT_RRTYPE_NSEC, 60, nsec, 14, &error), 0);
    assert_int_equal(zone_builder_finish(builder, &data, &error), 0);
    zone_builder_free(builder);
    assert_int_equal(zone_edit_begin(data, &edit, &error), -EPERM);
    assert_non_null(strstr(error.text, "signed"));
    zone_data_free(data);
}

static void test_a_set_that_no_message_could_carry_is_refused(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    struct zone_data *data = model_build(&model);
    struct zone_edit *edit = begin(data);
    struct name host;
    uint8_t text[256] = {255};
    bool changed;
    int rc = 0;
    unsigned count = 0;
    model_owner(1, &host);
    for (; rc == 0 && count < 1000; count++) {
        knot_wire_write_u16(text + 1, (uint16_t)count);
        rc = zone_edit_add(edit, &host, KNOT_RRTYPE_TXT, 60, text, sizeof(text), &changed);
    }
    assert_int_equal(rc, -E2BIG);
    assert_true(count > 240 && count < 256);
    assert_int_equal(zone_edit_changes(edit)->count, count - 1);
    assert_int_equal(zone_edit_prepare(edit), 0);
    zone_edit_commit(edit);
    zone_edit_end(edit);
    assert_int_equal(data->record_count, 2 + count - 1);
    zone_data_free(data);
}

static void test_names_in_data_are_compared_in_any_letter_case(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    struct zone_data *data = model_build(&model);
    struct zone_edit *edit = begin(data);
    struct name host;
    bool changed;
    model_owner(1, &host);
    static const uint8_t lower[] = "\0\12\2mx\7example", upper[] = "\0\12\2MX\7eXample";
    static const uint8_t text[] = "\1a", other_text[] = "\1A";
    const uint16_t mx = KNOT_RRTYPE_MX, txt = KNOT_RRTYPE_TXT;
    assert_int_equal(zone_edit_add(edit, &host, mx, 60, lower, sizeof(lower), &changed), 0);
    assert_true(changed);
    assert_int_equal(zone_edit_add(edit, &host, mx, 60, upper, sizeof(upper), &changed), 0);
    assert_false(changed);
    assert_int_equal(zone_edit_add(edit, &host, mx, 61, upper, sizeof(upper), &changed), 0);
    assert_true(changed);
    assert_int_equal(zone_edit_add(edit, &host, txt, 60, text, 2, &changed), 0);
    assert_int_equal(zone_edit_add(edit, &host, txt, 60, other_text, 2, &changed), 0);
    assert_true(changed);
    struct rrset rrset;
    assert_true(name_entry_rrset(zone_edit_find(edit, &host), mx, &rrset));
    assert_int_equal(rrset.rr_count, 1);
    assert_int_equal(rrset.ttl, 61);
    assert_true(name_entry_rrset(zone_edit_find(edit, &host), txt, &rrset));
    assert_int_equal(rrset.rr_count, 2);
    static const uint8_t twice[] = {0, 2, 1, 'b', 0, 2, 1, 'a', 0, 2, 1, 'b'};
    const struct rrset texts = {
        .type = KNOT_RRTYPE_TXT, .rr_count = 3, .ttl = 60, .size = sizeof(twice), .data = twice};
    assert_int_equal(zone_edit_put(edit, &host, &texts), 0);
    assert_true(name_entry_rrset(zone_edit_find(edit, &host), txt, &rrset));
    assert_int_equal(rrset.rr_count, 2);
    assert_memory_equal(rrset.data, twice + 4, 8);
    assert_int_equal(zone_edit_remove(edit, &host, mx, upper, sizeof(upper), &changed), 0);
    assert_true(changed);
    assert_false(name_entry_rrset(zone_edit_find(edit, &host), mx, &rrset));
    zone_edit_end(edit);
    assert_same(data, &model);
    zone_data_free(data);
}

/* ---- Memory ---- */

#define HOSTS   1000
#define UPDATES 1000000

static void host_name(unsigned number, struct name *ret_name)
{
    uint8_t wire[64] = "\6h";
    snprintf((char *)wire + 2, sizeof(wire) - 2, "%05u", number);
    memcpy(wire + 7, "\1a\7example", 11);
    assert_true(name_parse(ret_name, wire, sizeof(wire)) > 0);
}

static void test_a_million_updates_of_a_thousand_names_take_no_more_memory(void **state)
{
    (void)state;
    uint64_t random = seeded();
    struct model model;
    model_init(&model);
    struct zone_data *data = model_build(&model);
    for (unsigned done = 0, batch = 0; done < UPDATES; batch++) {
        struct zone_edit *edit = begin(data);
        for (unsigned i = 0; i < 100; i++, done++) {
            uint8_t text[66] = {(uint8_t)(model_random(&random) % 63)};
            struct rrset rrset = {.type = KNOT_RRTYPE_TXT, .rr_count = 1, .data = text};
            struct name host;
            host_name((unsigned)(model_random(&random) % HOSTS), &host);
            memmove(text + 2, text, 1);
            text[0] = 0;
            text[1] = (uint8_t)(text[2] + 1);
            rrset.size = 2u + text[1];
            if (model_random(&random) % 8 == 0)
                rrset.rr_count = 0;
            assert_int_equal(zone_edit_put(edit, &host, &rrset), 0);
        }
        commit(&model, edit);
        zone_edit_end(edit);
        if (batch % 100 == 99)
            wait_for_grace();
    }
    /* The updates between two waits may all be in flight: some ten thousand entries of at most
     * ninety octets, whose sizes differ from time to time. Each kept would be sixty megabytes. */
    assert_true(zone_data_memory(data) < 6 * 1024 * 1024);
    assert_true(data->table->capacity < 4 * HOSTS);
    zone_data_free(data);
}

/* ---- Beside readers ---- */

#define READERS           2
#define CONCURRENT_ROUNDS 1500

struct reading {
    _Atomic(struct zone_data *) data;
    _Atomic(bool) ends;
    _Atomic(uint64_t) lookups, walks;
};

/* Whether the entry is one that a zone can have, as far as it shows by itself. */
static void check_entry(const struct name_entry *entry, const struct name *owner)
{
    uint64_t sum = 0;
    const uint8_t *at = name_entry_rrsets(entry);
    if (memcmp(entry->owner, owner->wire, entry->owner_size) != 0)
        abort();
    for (unsigned left = entry->rrset_count; left > 0; left--) {
        struct rrset rrset;
        at = rrset_read(&rrset, at);
        if (rrset.rr_count == 0)
            abort();
        for (uint32_t i = 0; i < rrset.size; i++)
            sum += rrset.data[i];
        if (rrset.type == KNOT_RRTYPE_CNAME && (entry->flags & ENTRY_CNAME) == 0)
            abort();
    }
    static _Atomic(uint64_t) sink;
    atomic_fetch_add(&sink, sum);
}

static void *read_names(void *argument)
{
    struct reading *reading = argument;
    uint64_t random = 88172645463325252u;
    rcu_register_thread();
    while (!atomic_load(&reading->ends)) {
        struct zone_data *data = atomic_load(&reading->data);
        struct name owner;
        unsigned name = (unsigned)(model_random(&random) % MODEL_NAMES);
        model_owner(name, &owner);
        struct name_hit hit = zone_data_find(data, &owner);
        if (hit.entry != NULL)
            check_entry(hit.entry, &owner);
        else if (name == 0)
            abort();
        (void)zone_data_name_state(data, &owner);
        check_entry(rcu_dereference(data->apex_entry), &data->apex);
        atomic_fetch_add(&reading->lookups, 1);
        rcu_quiescent_state();
    }
    rcu_unregister_thread();
    return NULL;
}

static void *mark_names(void *argument)
{
    struct reading *reading = argument;
    uint64_t random = 362436069u;
    struct zone_data *data = atomic_load(&reading->data);
    rcu_register_thread();
    for (unsigned round = 0; !atomic_load(&reading->ends); round++) {
        struct name owner;
        model_owner((unsigned)(model_random(&random) % MODEL_NAMES), &owner);
        if (model_random(&random) % 2 == 0)
            assert_int_equal(zone_data_mark(data, owner.wire), 0);
        else
            zone_data_unmark(data, owner.wire);
        if (round % 256 == 0 && data->table->capacity < 100000)
            assert_int_equal(zone_data_reserve(data, data->table->capacity), 0);
        rcu_quiescent_state();
    }
    rcu_unregister_thread();
    return NULL;
}

struct walking {
    struct reading *reading;
    struct open_view open;
};

static void *walk_view(void *argument)
{
    struct walking *walking = argument;
    while (view_read(&walking->open, 3)) {
    }
    view_close(&walking->open);
    return NULL;
}

static void test_readers_marks_and_views_go_on_beside_edits(void **state)
{
    (void)state;
    uint64_t random = seeded();
    struct model model;
    model_init(&model);
    struct reading reading = {.data = model_build(&model)};
    struct zone_data *data = reading.data;
    pthread_t readers[READERS], marker, walker;
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_names, &reading), 0);
    assert_int_equal(pthread_create(&marker, NULL, mark_names, &reading), 0);

    for (unsigned round = 0; round < CONCURRENT_ROUNDS; round += 50) {
        struct walking walking = {.reading = &reading};
        view_open(&walking.open, data, &model);
        assert_int_equal(pthread_create(&walker, NULL, walk_view, &walking), 0);
        for (unsigned i = 0; i < 50; i++) {
            struct zone_edit *edit = begin(data);
            change_some(&model, edit, &random);
            commit(&model, edit);
            zone_edit_end(edit);
        }
        pthread_join(walker, NULL);
    }
    while (atomic_load(&reading.lookups) < 10000)
        sched_yield();
    atomic_store(&reading.ends, true);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    pthread_join(marker, NULL);
    assert_same(data, &model);
    zone_data_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_sequence_of_edits_makes_the_zone_that_is_built_from_its_records),
        cmocka_unit_test(test_changes_are_undone_and_made_again_by_their_list),
        cmocka_unit_test(test_a_view_gives_what_the_zone_was_when_it_was_opened),
        cmocka_unit_test(test_marks_stay_with_their_names_while_these_come_and_go),
        cmocka_unit_test(test_what_no_zone_can_hold_is_refused_and_changes_nothing),
        cmocka_unit_test(test_a_zone_without_data_and_a_signed_one_cannot_be_edited),
        cmocka_unit_test(test_a_set_that_no_message_could_carry_is_refused),
        cmocka_unit_test(test_names_in_data_are_compared_in_any_letter_case),
        cmocka_unit_test(test_a_million_updates_of_a_thousand_names_take_no_more_memory),
        cmocka_unit_test(test_readers_marks_and_views_go_on_beside_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
