/* The canonical form to the octet, what a signature covers, and how it gets into a file. */
#include <errno.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "order/canonical.h"
#include "order/keyring.h"
#include "order/signature.h"
#include "order/signature_edit.h"
#include "order_text.h"

/* Keys from fixed seeds: the tests are the same every time. */
static struct signing_key keys[3];
static uint8_t public_keys[3][SIGNING_PUBLIC_SIZE];
static struct order_keyring_entry entries[3];

static int make_keys(void **state)
{
    static const char *const names[] = {"alice", "bob", "carol"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        uint8_t seed[crypto_sign_SEEDBYTES] = {(uint8_t)(i + 1)};
        snprintf(keys[i].name, sizeof(keys[i].name), "%s", names[i]);
        crypto_sign_seed_keypair(public_keys[i], keys[i].secret, seed);
        entries[i] = (struct order_keyring_entry){
            .name = names[i],
            .public_key = public_keys[i],
        };
    }
    return 0;
}

static struct order *load_unverified(const char *text)
{
    struct error error = {0};
    struct order *order = NULL;

    if (order_from_text(text, NULL, &order, &error) < 0)
        fail_msg("%s", error.text);
    return order;
}

/* `text` with one more signature by keys[index]. The caller frees it. */
static char *sign(const char *text, size_t index)
{
    struct order *order = load_unverified(text);
    struct error error = {0};
    uint8_t value[SIGNATURE_SIZE];
    char *signed_text = NULL;
    size_t size;

    assert_int_equal(signature_make(order, &keys[index], value, &error), 0);
    if (signature_edit("t.yaml", text, strlen(text), &keys[index], value, &signed_text, &size,
                       &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(strlen(signed_text), size);
    order_free(order);
    return signed_text;
}

static int verify(const char *text, size_t keyring_count, unsigned signatures_min)
{
    const struct order_policy policy = {
        .keyring = entries,
        .keyring_count = keyring_count,
        .signatures_min = signatures_min,
    };
    struct order *order = NULL;

    int rc = order_from_text(text, &policy, &order, NULL);
    order_free(order);
    return rc;
}

static void test_the_canonical_form_is_what_the_manual_says(void **state)
{
    /* The digests are those of "a.example\nb\047c.example\nxn--mnchen-3ya.example\n", of the
     * empty text and of "x.example\n", made with sha256sum. */
    static const char expected[] =
        "tamis-order 1\n"
        "id: t-1\n"
        "kind: court\n"
        "authority: A court, 1:23\n"
        "starts: 2014-06-30T12:00:00Z\n"
        "ends: 2014-07-14T12:00:00Z\n"
        "action: sinkhole\n"
        "a: 192.0.2.9\n"
        "a: 192.0.2.66\n"
        "aaaa: 2001:db8::66\n"
        "ttl: 60\n"
        "notice: https://desk.example/t-1\n"
        "names: 3 59730f7f55f88c9b42128a4aca343cb1f62ddaeabc59fb5c3616ddcc1110bd4b\n"
        "subtrees: 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        "exempt: 1 40cf80ad8f0c094095c39e433327611351c99471d24d81968c89491558617b49\n"
        "budget-live: 5\n"
        "budget-query-share-ppm: 250000\n"
        "evidence-seal-to: 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\n";
    struct order *order = load_unverified(
        "evidence: { seal-to: 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=, content: true }\n"
        "budget: { query-share: 0.25, live: 5 }\n"
        "exempt: [X.example.]\n"
        "names: [\"m\xc3\xbcnchen.example\", \"b\\\\/c.example\", A.example, a.example]\n"
        "notice: https://desk.example/t-1\n"
        "sinkhole: { aaaa: [\"2001:0db8::0066\"], a: [192.0.2.66, 192.0.2.9] }\n"
        "action: sinkhole\n"
        "ends: 2014-07-14T14:00:00+02:00\n"
        "starts: 2014-06-30T12:00:00.5Z\n"
        "authority: 'A court, 1:23'\n"
        "kind: court\n"
        "id: t-1\n");
    char *text = NULL;
    size_t size;

    (void)state;
    assert_int_equal(canonical_write(order, &text, &size), 0);
    assert_int_equal(size, strlen(text));
    assert_string_equal(text, expected);
    free(text);
    order_free(order);
}

static void test_every_change_of_meaning_breaks_a_signature(void **state)
{
    static const char *const changes[][2] = {
        {"t-1", "t-2"},
        {"court\n", "provider\n"},
        {"1:23", "1:24"},
        {"06-30T", "06-29T"},
        {"07-14", "07-15"},
        {"nxdomain", "nodata"},
        {"a.example", "b.example"},
        {"s.example", "r.example"},
        {"x.example", "y.example"},
        {"ttl: 9", "ttl: 8"},
        {"live: 3", "live: 4"},
        {"notice: https", "notice: http"},
        {"content: true", "content: false"},
        {"3p7b", "4p7b"},
    };
    char *text = sign(ORDER_HEAD "names: [a.example]\nsubtrees: [s.example]\nexempt: [x.example]\n"
                                 "sinkhole: {ttl: 9}\nbudget: {live: 3}\n"
                                 "notice: https://n.example\n"
                                 "evidence: {content: true, seal-to: "
                                 "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=}\n",
                      0);
    char *both = sign(text, 1);

    (void)state;
    assert_int_equal(verify(both, 2, 2), 0);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        char changed[4096];
        const char *at = strstr(both, changes[i][0]);
        assert_non_null(at);
        snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - both), both, changes[i][1],
                 at + strlen(changes[i][0]));
        assert_int_equal(verify(changed, 2, 0), -EKEYREJECTED);
    }
    free(both);
    free(text);
}

/* An order that was signed before there was such a clause stays signed. */
static void test_evidence_that_is_not_kept_changes_no_signature(void **state)
{
    static const char text[] = ORDER_HEAD "names: [a.example]\n";
    struct order *without = load_unverified(text);
    struct order *with = load_unverified(ORDER_HEAD "names: [a.example]\n"
                                                    "evidence: {content: false}\n");
    char *one, *other;
    size_t size;

    (void)state;
    assert_int_equal(canonical_write(without, &one, &size), 0);
    assert_int_equal(canonical_write(with, &other, &size), 0);
    assert_string_equal(one, other);
    assert_null(strstr(one, "evidence"));
    free(one);
    free(other);
    order_free(without);
    order_free(with);
}

static void test_subtrees_need_two_different_people(void **state)
{
    static const char text[] = ORDER_HEAD "subtrees: [s.example]\n";
    char *one = sign(text, 0);
    char *two = sign(one, 1);
    char *stranger = sign(one, 2);

    (void)state;
    assert_int_equal(verify(text, 3, 0), -EKEYREJECTED);
    assert_int_equal(verify(one, 3, 0), -EKEYREJECTED);
    assert_int_equal(verify(two, 3, 0), 0);
    assert_int_equal(verify(two, 0, 0), -EKEYREJECTED);      /* nobody can judge */
    assert_int_equal(verify(stranger, 2, 0), -EKEYREJECTED); /* carol is not in the keyring */
    assert_int_equal(verify(two, 3, 3), -EKEYREJECTED);

    /* One key under two names is one person. */
    uint8_t bob[SIGNING_PUBLIC_SIZE];
    memcpy(bob, public_keys[1], sizeof(bob));
    struct signing_key own = keys[1];
    memcpy(keys[1].secret, keys[0].secret, sizeof(keys[1].secret));
    memcpy(public_keys[1], public_keys[0], sizeof(bob));
    char *twice = sign(one, 1);
    assert_int_equal(verify(twice, 3, 0), -EKEYREJECTED);
    keys[1] = own;
    memcpy(public_keys[1], bob, sizeof(bob));

    free(one);
    free(two);
    free(stranger);
    free(twice);
}

static void test_a_signature_by_a_stranger_is_a_finding(void **state)
{
    const struct order_policy policy = {.keyring = entries, .keyring_count = 1};
    char *text = sign(ORDER_HEAD "names: [a.example]\n", 2);
    struct order *order = NULL;

    (void)state;
    assert_int_equal(order_from_text(text, &policy, &order, NULL), 0);
    assert_int_equal(order->finding_total, 1);
    assert_string_equal(order->findings[0].entry, "carol");
    assert_int_equal(order->findings[0].line, 9);
    assert_int_equal(order_signatures_valid(order, &policy), 0);
    order_free(order);
    free(text);
}

/* Signs by alice, then bob, then alice again after a change of the authority; everything around
 * must stay. `before` and `after` are the text around the list. */
static void edits(const char *text, const char *kept)
{
    char *one = sign(text, 0);
    char *two = sign(one, 1);
    char *again = sign(two, 0);

    assert_int_equal(verify(one, 3, 1), 0);
    assert_int_equal(verify(two, 3, 2), 0);
    assert_string_equal(two, again); /* Ed25519 is deterministic */
    if (strstr(two, kept) == NULL)
        fail_msg("lost '%s' in:\n%s", kept, two);
    free(one);
    free(two);
    free(again);
}

static void test_signing_changes_nothing_else_in_the_file(void **state)
{
    (void)state;
    edits(ORDER_HEAD "names: [a.example]\n",
          "names: [a.example]\nsignatures:\n  - { key: \"alice\"");
    edits("id: t\rkind: court\r" /* carriage returns and U+2028 end lines for YAML, too */
          "authority: \"a\xe2\x80\xa8 b\"\r\nstarts: 2014-06-30T12:00:00Z\n"
          "ends: 2014-07-14T12:00:00Z\naction: nodata\nsignatures: []\nnames: [a.example]\n",
          "\nnames: [a.example]\n");
    edits("\xef\xbb\xbf" ORDER_HEAD "names: [a.example]\nsignatures: [] # x\n",
          "signatures: # x\n");
    edits(ORDER_HEAD "names: [a.example]", "names: [a.example]\nsignatures:\n");
    edits("signatures: []   # two people\n# next\n" ORDER_HEAD "names: [a.example] # end\n",
          "signatures: # two people\n  - { key: \"alice\"");
    edits("signatures: []\r\n" ORDER_HEAD "names: [a.example]\n", "\n" ORDER_HEAD);
    edits(ORDER_HEAD "signatures: [ ]\nnames: [a.example]\n# end\n",
          "\nnames: [a.example]\n# end\n");
    edits("# m\xc3\xbcnchen\nauthority: \"\xe6\x9d\xb1\"\nid: t\nkind: court\naction: nodata\n"
          "starts: 2014-06-30T12:00:00Z\nends: 2014-07-14T12:00:00Z\nsignatures: []\n"
          "# first\nnames: [a.example]\n",
          "# first\nnames: [a.example]\n");
}

static void test_an_older_signature_keeps_its_place_and_comment(void **state)
{
    char *one = sign(ORDER_HEAD "names: [a.example]\n", 0);
    char text[2048];

    (void)state;
    snprintf(text, sizeof(text), "%s   # by hand\n# tail\n", one);
    text[strlen(one) - 1] = ' '; /* the comment stands behind the entry */
    char *two = sign(text, 1);
    const char *comment = strstr(two, "# by hand\n  - { key: \"bob\"");
    assert_non_null(comment);
    assert_non_null(strstr(two, "}\n# tail\n"));
    assert_int_equal(verify(two, 2, 2), 0);
    free(one);
    free(two);
}

static void test_what_cannot_be_edited_safely_is_refused_with_the_line_to_add(void **state)
{
    static const char text[] = "{id: t, kind: court, authority: x, action: nodata, "
                               "starts: 2014-06-30T12:00:00Z, ends: 2014-07-14T12:00:00Z, "
                               "names: [a.example]}\n";
    struct order *order = load_unverified(text);
    struct error error = {0};
    uint8_t value[SIGNATURE_SIZE];
    char *signed_text;
    size_t size;

    (void)state;
    assert_int_equal(signature_make(order, &keys[0], value, NULL), 0);
    assert_int_equal(signature_edit("t.yaml", text, sizeof(text) - 1, &keys[0], value, &signed_text,
                                    &size, &error),
                     -ENOTSUP);
    assert_non_null(strstr(error.text, "add by hand: { key: \"alice\", value: \""));
    order_free(order);
}

static void test_keys_are_written_once_and_read_back(void **state)
{
    char folder[] = "/tmp/test_signature.XXXXXX";
    char secret[64], public[64];
    struct signing_key key = {0};
    struct keyring *keyring = NULL;
    struct error error = {0};
    struct stat status;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(secret, sizeof(secret), "%s/dave.key", folder);
    snprintf(public, sizeof(public), "%s/dave.pub", folder);
    assert_int_equal(signing_key_generate(folder, "dave", &error), 0);
    assert_int_equal(signing_key_generate(folder, "dave", &error), -EEXIST);
    assert_int_equal(stat(secret, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(signing_key_load(secret, &key, &error), 0);
    assert_string_equal(key.name, "dave");
    assert_int_equal(keyring_load(public, &keyring, &error), 0);
    assert_int_equal(keyring->count, 1);
    assert_string_equal(keyring->entries[0].name, "dave");
    assert_memory_equal(keyring->entries[0].public_key, key.secret + 32, 32);
    keyring_free(keyring);

    /* A public half that exists keeps a secret from being made. */
    assert_int_equal(unlink(secret), 0);
    assert_int_equal(signing_key_generate(folder, "dave", &error), -EEXIST);
    assert_int_equal(stat(secret, &status), -1);

    assert_int_equal(signing_key_load(public, &key, &error), -EACCES);
    assert_int_equal(signing_key_generate(folder, "../dave", &error), -EINVAL);
    signing_key_clear(&key);
    unlink(public);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_canonical_form_is_what_the_manual_says),
        cmocka_unit_test(test_every_change_of_meaning_breaks_a_signature),
        cmocka_unit_test(test_evidence_that_is_not_kept_changes_no_signature),
        cmocka_unit_test(test_subtrees_need_two_different_people),
        cmocka_unit_test(test_a_signature_by_a_stranger_is_a_finding),
        cmocka_unit_test(test_signing_changes_nothing_else_in_the_file),
        cmocka_unit_test(test_an_older_signature_keeps_its_place_and_comment),
        cmocka_unit_test(test_what_cannot_be_edited_safely_is_refused_with_the_line_to_add),
        cmocka_unit_test(test_keys_are_written_once_and_read_back),
    };

    return cmocka_run_group_tests(tests, make_keys, NULL);
}
