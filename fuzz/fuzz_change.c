/* A change list from outside, such as a journal's: any octets are refused or are a list that can be
 * walked to its end, and that written anew says the same. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "zone/change.h"

static void expect_equal(const struct rrset *one, const struct rrset *other)
{
    FUZZ_ASSERT(one->type == other->type && one->rr_count == other->rr_count);
    FUZZ_ASSERT(one->ttl == other->ttl && one->size == other->size);
    FUZZ_ASSERT(one->size == 0 || memcmp(one->data, other->data, one->size) == 0);
}

/* Copies the list; returns how many changes it has. */
static size_t copy(const uint8_t *octets, size_t size, struct change_list *list)
{
    struct change change;
    size_t count = 0;
    for (size_t at = 0; change_list_next(octets, size, &at, &change); count++) {
        FUZZ_ASSERT(at <= size);
        FUZZ_ASSERT(change_list_add(list, &change) == 0);
    }
    return count;
}

static void compare(const struct change_list *list, const uint8_t *octets, size_t size)
{
    size_t one_at = 0, other_at = 0;
    struct change one, other;
    while (change_list_next(octets, size, &one_at, &one)) {
        FUZZ_ASSERT(change_list_next(list->octets, list->size, &other_at, &other));
        FUZZ_ASSERT(one.author == other.author && one.owner_size == other.owner_size);
        FUZZ_ASSERT(memcmp(one.owner, other.owner, one.owner_size) == 0);
        expect_equal(&one.before, &other.before);
        expect_equal(&one.after, &other.after);
    }
    FUZZ_ASSERT(other_at == list->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    size_t count;
    if (!change_list_check(input, size, &count))
        return 0;
    struct change_list list = {0};
    FUZZ_ASSERT(copy(input, size, &list) == count && list.count == count);
    compare(&list, input, size);
    size_t again;
    FUZZ_ASSERT(change_list_check(list.octets, list.size, &again) && again == count);
    change_list_clear(&list);
    return 0;
}
