#include <stdlib.h>

#include "dns/name.h"
#include "order/name_key.h"
#include "order/name_list.h"
#include "order/order.h"

void order_names_clear(struct order_names *names)
{
    free(names->octets);
    free(names->offsets);
    free(names->lines);
    *names = (struct order_names){0};
}

size_t order_names_lower_bound(const struct order_names *names, const uint8_t *wire)
{
    uint8_t wanted[NAME_KEY_MAX], key[NAME_KEY_MAX];
    size_t low = 0, high = names->count;

    name_key_write(wire, wanted);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        name_key_write(order_names_at(names, middle), key);
        if (name_key_compare(key, wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t order_names_find(const struct order_names *names, const uint8_t *wire)
{
    size_t at = order_names_lower_bound(names, wire);

    return at < names->count && name_equal(order_names_at(names, at), wire) ? at : SIZE_MAX;
}
