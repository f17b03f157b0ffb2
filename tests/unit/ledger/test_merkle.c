/* Trees of RFC 9162 against the definition, written down as it stands there. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "ledger/merkle.h"

#define ENTRIES_MAX 300

static struct merkle_hash entries[ENTRIES_MAX];

static int make_entries(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ENTRIES_MAX; i++) {
        char text[16];
        int size = snprintf(text, sizeof(text), "entry %u", i);
        merkle_hash_entry((const uint8_t *)text, (size_t)size, &entries[i]);
    }
    return 0;
}

/* MTH(D[first:first + size]) as RFC 9162, 2.1.1 defines it. */
static struct merkle_hash defined_root(size_t first, size_t size)
{
    struct merkle_hash hash;
    if (size == 0) {
        merkle_hash_nothing(&hash);
        return hash;
    }
    if (size == 1)
        return entries[first];
    size_t left = 1;
    while (left * 2 < size)
        left *= 2;
    const struct merkle_hash one = defined_root(first, left);
    const struct merkle_hash other = defined_root(first + left, size - left);
    merkle_hash_children(&one, &other, &hash);
    return hash;
}

static int read_node(void *context, unsigned level, uint64_t number, struct merkle_hash *ret_hash)
{
    const uint64_t *size = context;
    assert_true(((number + 1) << level) <= *size);
    *ret_hash = defined_root(number << level, (size_t)1 << level);
    return 0;
}

static void assert_hash(const struct merkle_hash *hash, const char *hex)
{
    char text[2 * MERKLE_HASH_SIZE + 1];
    assert_string_equal(sodium_bin2hex(text, sizeof(text), hash->octets, sizeof(*hash)), hex);
}

/* Published with the certificate transparency programs, for RFC 6962, whose tree is the same. */
static void test_roots_are_those_that_others_publish(void **state)
{
    (void)state;
    static const char *const inputs[] = {"",
                                         "00",
                                         "10",
                                         "2021",
                                         "3031",
                                         "40414243",
                                         "5051525354555657",
                                         "606162636465666768696a6b6c6d6e6f"};
    static const char *const roots[] = {
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    struct merkle_edge edge = {0};
    struct merkle_hash hash;
    merkle_edge_root(&edge, &hash);
    assert_hash(&hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (unsigned i = 0; i < 8; i++) {
        uint8_t octets[16];
        size_t size;
        assert_int_equal(
            sodium_hex2bin(octets, sizeof(octets), inputs[i], strlen(inputs[i]), NULL, &size, NULL),
            0);
        merkle_hash_entry(octets, size, &hash);
        merkle_edge_append(&edge, &hash);
        merkle_edge_root(&edge, &hash);
        assert_hash(&hash, roots[i]);
    }
}

static void test_every_size_has_the_defined_root(void **state)
{
    (void)state;
    struct merkle_edge edge = {0};
    for (uint64_t size = 0; size <= ENTRIES_MAX; size++) {
        const struct merkle_nodes nodes = {.read = read_node, .context = &size};
        const struct merkle_hash defined = defined_root(0, size);
        struct merkle_hash root;
        merkle_edge_root(&edge, &root);
        assert_memory_equal(&root, &defined, sizeof(root));
        assert_int_equal(merkle_root(&nodes, size, &root), 0);
        assert_memory_equal(&root, &defined, sizeof(root));
        if (size < ENTRIES_MAX)
            merkle_edge_append(&edge, &entries[size]);
    }
}

static void test_every_entry_of_every_size_is_proved(void **state)
{
    (void)state;
    for (uint64_t size = 1; size <= 70; size++) {
        const struct merkle_nodes nodes = {.read = read_node, .context = &size};
        const struct merkle_hash root = defined_root(0, size);
        for (uint64_t index = 0; index < size; index++) {
            struct merkle_proof proof;
            assert_int_equal(merkle_prove_inclusion(&nodes, index, size, &proof), 0);
            assert_int_equal(merkle_check_inclusion(index, size, &entries[index], &proof, &root),
                             0);
            for (uint64_t other = 0; other < size; other++)
                if (other != index)
                    assert_int_equal(
                        merkle_check_inclusion(other, size, &entries[index], &proof, &root),
                        -EBADMSG);
            assert_int_equal(
                merkle_check_inclusion(index, size, &entries[index + 1], &proof, &root), -EBADMSG);
            for (unsigned i = 0; i < proof.count; i++) {
                proof.hashes[i].octets[i % MERKLE_HASH_SIZE] ^= 1;
                assert_int_equal(
                    merkle_check_inclusion(index, size, &entries[index], &proof, &root), -EBADMSG);
                proof.hashes[i].octets[i % MERKLE_HASH_SIZE] ^= 1;
            }
            proof.hashes[proof.count++] = root;
            assert_int_equal(merkle_check_inclusion(index, size, &entries[index], &proof, &root),
                             -EBADMSG);
        }
    }
}

static void test_every_tree_goes_on_from_every_older_one(void **state)
{
    (void)state;
    for (uint64_t size = 1; size <= 70; size++) {
        const struct merkle_nodes nodes = {.read = read_node, .context = &size};
        const struct merkle_hash root = defined_root(0, size);
        for (uint64_t old = 1; old <= size; old++) {
            const struct merkle_hash old_root = defined_root(0, old);
            struct merkle_hash other = old_root;
            struct merkle_proof proof;
            other.octets[5] ^= 0x20;
            assert_int_equal(merkle_prove_consistency(&nodes, old, size, &proof), 0);
            assert_int_equal(merkle_check_consistency(old, size, &old_root, &root, &proof), 0);
            assert_int_equal(merkle_check_consistency(old, size, &other, &root, &proof), -EBADMSG);
            assert_int_equal(merkle_check_consistency(old, size, &old_root, &other, &proof),
                             -EBADMSG);
            for (unsigned i = 0; i < proof.count; i++) {
                proof.hashes[i].octets[7] ^= 4;
                assert_int_equal(merkle_check_consistency(old, size, &old_root, &root, &proof),
                                 -EBADMSG);
                proof.hashes[i].octets[7] ^= 4;
            }
            if (proof.count > 0) {
                proof.count--;
                assert_int_equal(merkle_check_consistency(old, size, &old_root, &root, &proof),
                                 -EBADMSG);
            }
        }
    }
}

static void test_what_is_not_in_the_tree_has_no_proof(void **state)
{
    (void)state;
    uint64_t size = 5;
    const struct merkle_nodes nodes = {.read = read_node, .context = &size};
    struct merkle_proof proof = {0};
    struct merkle_hash root = defined_root(0, 5);
    assert_int_equal(merkle_prove_inclusion(&nodes, 5, 5, &proof), -EINVAL);
    assert_int_equal(merkle_prove_consistency(&nodes, 0, 5, &proof), -EINVAL);
    assert_int_equal(merkle_prove_consistency(&nodes, 6, 5, &proof), -EINVAL);
    assert_int_equal(merkle_check_inclusion(0, 0, &entries[0], &proof, &root), -EBADMSG);
    assert_int_equal(merkle_check_consistency(6, 5, &root, &root, &proof), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roots_are_those_that_others_publish),
        cmocka_unit_test(test_every_size_has_the_defined_root),
        cmocka_unit_test(test_every_entry_of_every_size_is_proved),
        cmocka_unit_test(test_every_tree_goes_on_from_every_older_one),
        cmocka_unit_test(test_what_is_not_in_the_tree_has_no_proof),
    };
    return cmocka_run_group_tests(tests, make_entries, NULL);
}
