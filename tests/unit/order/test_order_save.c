/* What is kept of an order: whole, replaced as a whole, and untouched by what is only prepared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "order/canonical.h"
#include "order/order_save.h"
#include "order_text.h"

static char folder[64];

static struct order *order_make(const char *names)
{
    char text[400];
    struct order *order = NULL;
    struct error error = {0};

    snprintf(text, sizeof(text), ORDER_HEAD "names: [%s]\n", names);
    if (order_from_text(text, NULL, &order, &error) < 0)
        fail_msg("%s", error.text);
    return order;
}

static struct order *load_kept(int *ret_rc)
{
    static const struct order_policy unverified = {.unverified = true};
    struct order *order = NULL;
    struct error error = {0};
    char path[128];

    snprintf(path, sizeof(path), "%s/t-1.yaml", folder);
    *ret_rc = order_load(path, &unverified, &order, &error);
    if (*ret_rc < 0 && *ret_rc != -ENOENT)
        fail_msg("%s: %s", error.file, error.text);
    return order;
}

/* How many names the kept order has; 0 when none is kept. */
static size_t kept_count(void)
{
    int rc;
    struct order *order = load_kept(&rc);
    if (rc == -ENOENT)
        return 0;
    size_t count = order->names.count;
    order_free(order);
    return count;
}

static size_t file_count(void)
{
    size_t count = 0;
    DIR *files = opendir(folder);

    assert_non_null(files);
    for (const struct dirent *file = readdir(files); file != NULL; file = readdir(files))
        count += file->d_name[0] != '.';
    closedir(files);
    return count;
}

static struct order_saving prepare(const char *names)
{
    struct order *order = order_make(names);
    struct order_saving saving;
    struct error error = {0};

    if (order_save_prepare(order, folder, &saving, &error) < 0)
        fail_msg("%s: %s", error.file, error.text);
    order_free(order);
    return saving;
}

static void finish(const struct order_saving *saving)
{
    struct error error = {0};
    if (order_save_finish(saving, folder, &error) < 0)
        fail_msg("%s: %s", error.file, error.text);
}

static void unsave(void)
{
    struct error error = {0};
    if (order_unsave("t-1", folder, &error) < 0)
        fail_msg("%s: %s", error.file, error.text);
}

static void test_a_kept_order_is_replaced_as_a_whole_and_removed_without_rest(void **state)
{
    (void)state;
    struct order_saving saving = prepare("a.example");
    assert_int_equal(kept_count(), 0);
    finish(&saving);
    assert_int_equal(kept_count(), 1);

    saving = prepare("a.example, b.example");
    assert_int_equal(kept_count(), 1);
    finish(&saving);
    assert_int_equal(kept_count(), 2);
    assert_int_equal(file_count(), 2); /* the first list is gone */
    unsave();
    assert_int_equal(file_count(), 0);
}

static void test_what_was_prepared_and_given_up_leaves_nothing(void **state)
{
    (void)state;
    struct order_saving first = prepare("a.example");
    finish(&first);
    struct order_saving saving = prepare("a.example, b.example");
    order_save_cancel(&saving, folder);
    assert_int_equal(kept_count(), 1);
    assert_int_equal(file_count(), 2);
    unsave();
    assert_int_equal(file_count(), 0);
}

/* A lift does not wait for an activation that is under way. */
static void test_a_lift_takes_nothing_away_from_an_order_being_saved(void **state)
{
    (void)state;
    struct order_saving first = prepare("a.example");
    finish(&first);
    struct order_saving saving = prepare("a.example, b.example");
    unsave();
    assert_int_equal(kept_count(), 0);
    finish(&saving);
    assert_int_equal(kept_count(), 2);
    unsave();
    assert_int_equal(file_count(), 0);
}

/* Or its signatures would not match any more. */
static void test_an_order_is_kept_with_all_that_its_signatures_cover(void **state)
{
    struct order_saving saving =
        prepare("a.example]\nbudget: {live: 3}\nnotice: https://n.example\n"
                "evidence: {content: true, seal-to: 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=}\n"
                "subtrees: [s.example");
    struct order *kept, *made;
    char *texts[2];
    size_t sizes[2];
    int rc;

    (void)state;
    finish(&saving);
    kept = load_kept(&rc);
    assert_non_null(kept);
    made = order_make("a.example]\nbudget: {live: 3}\nnotice: https://n.example\n"
                      "evidence: {content: true, seal-to: "
                      "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=}\nsubtrees: [s.example");
    assert_int_equal(canonical_write(kept, &texts[0], &sizes[0]), 0);
    assert_int_equal(canonical_write(made, &texts[1], &sizes[1]), 0);
    assert_string_equal(texts[0], texts[1]);
    assert_non_null(strstr(texts[0], "evidence-seal-to: 3p7b"));
    free(texts[0]);
    free(texts[1]);
    order_free(kept);
    order_free(made);
    unsave();
}

static int folder_create(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/tamis-order-save-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_kept_order_is_replaced_as_a_whole_and_removed_without_rest),
        cmocka_unit_test(test_an_order_is_kept_with_all_that_its_signatures_cover),
        cmocka_unit_test(test_what_was_prepared_and_given_up_leaves_nothing),
        cmocka_unit_test(test_a_lift_takes_nothing_away_from_an_order_being_saved),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
