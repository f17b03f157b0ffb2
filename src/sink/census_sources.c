/* The table of addresses and networks: buckets of eight rows, which doubles until it has its share
 * of the memory; then a new row takes the place of the least telling one of its bucket. */
#include <string.h>
#include <xxhash.h>

#include "base/octets.h"
#include "sink/census_internal.h"

#define SOURCE_WAYS 8
#define ROWS_MIN    (512 * SOURCE_WAYS)

/* Networks are another kind of key than addresses of the same octets. */
#define NETWORK_SEED 0x6e657477

uint64_t source_tag(const uint8_t address[SINK_ADDRESS_SIZE], uint16_t epoch)
{
    const uint64_t tag = XXH3_64bits_withSeed(address, SINK_ADDRESS_SIZE, epoch);
    return tag == 0 ? 1 : tag;
}

uint64_t source_network_tag(const uint8_t network[SINK_ADDRESS_SIZE], uint16_t epoch)
{
    const uint64_t tag =
        XXH3_64bits_withSeed(network, SINK_ADDRESS_SIZE, (uint64_t)NETWORK_SEED << 16 | epoch);
    return tag == 0 ? 1 : tag;
}

static struct source *bucket_of(const struct sources *sources, uint64_t tag)
{
    return &sources->rows[(tag & (sources->row_count / SOURCE_WAYS - 1)) * SOURCE_WAYS];
}

struct source *sources_find(const struct sources *sources, uint64_t tag)
{
    if (sources->row_count == 0)
        return NULL;
    struct source *bucket = bucket_of(sources, tag);
    for (unsigned way = 0; way < SOURCE_WAYS; way++) {
        if (bucket[way].tag == tag)
            return &bucket[way];
    }
    return NULL;
}

/* Each bucket gives those rows to its new twin whose tag has the next bit set. */
static void split(struct sources *sources, size_t old_count)
{
    for (size_t row = 0; row < old_count; row++) {
        struct source *from = &sources->rows[row], *to = from + old_count;
        if (from->tag != 0 && (from->tag & old_count / SOURCE_WAYS) != 0) {
            *to = *from;
            *from = (struct source){.tag = 0};
        } else {
            *to = (struct source){.tag = 0};
        }
    }
}

static bool grow(struct sources *sources, struct memory_budget *budget)
{
    const size_t old_count = sources->row_count;
    const size_t count = old_count == 0 ? ROWS_MIN : 2 * old_count;
    if (count > sources->rows_max && old_count != 0)
        return false;
    struct source *rows =
        budget_resize(budget, sources->rows, old_count * sizeof(*rows), count * sizeof(*rows));
    if (rows == NULL)
        return false;
    sources->rows = rows;
    sources->row_count = count;
    if (old_count == 0)
        memset(rows, 0, count * sizeof(*rows));
    else
        split(sources, old_count);
    return true;
}

/* How much a row tells: those that condemn ids stay longest, then those that ids came from. */
static unsigned weight(const struct sources *sources, const struct source *row)
{
    if (source_unreturned(row) > sources->ids_per_address_max || (row->ids > 0 && row->probes > 1))
        return 2;
    return row->ids > 0 ? 1 : 0;
}

static struct source *least_telling(const struct sources *sources, struct source *bucket)
{
    struct source *least = &bucket[0];
    for (unsigned way = 1; way < SOURCE_WAYS; way++) {
        const unsigned weight_way = weight(sources, &bucket[way]);
        const unsigned weight_least = weight(sources, least);
        if (weight_way < weight_least ||
            (weight_way == weight_least && bucket[way].last_us < least->last_us))
            least = &bucket[way];
    }
    return least;
}

/* Addresses that were counted as what they are stay counted. */
static void forget(struct sources *sources, const struct source *row, struct memory_budget *budget)
{
    if (row->ids > 0 || row->network == 0)
        return;
    /* Without memory the figure of scanners is a little low. */
    (void)!hyperloglog_add(&sources->gone[source_class(row)], (uint32_t)row->tag, budget);
}

static struct source *free_way(struct source *bucket)
{
    for (unsigned way = 0; way < SOURCE_WAYS; way++) {
        if (bucket[way].tag == 0)
            return &bucket[way];
    }
    return NULL;
}

struct source *sources_touch(struct sources *sources, uint64_t tag, struct memory_budget *budget)
{
    struct source *found = sources_find(sources, tag);
    if (found != NULL)
        return found;
    if (sources->row_count == 0 && !grow(sources, budget))
        return NULL;
    struct source *row = free_way(bucket_of(sources, tag));
    while (row == NULL && sources->used * 2 > sources->row_count && grow(sources, budget))
        row = free_way(bucket_of(sources, tag));
    if (row == NULL) {
        row = least_telling(sources, bucket_of(sources, tag));
        forget(sources, row, budget);
    } else {
        sources->used++;
    }
    *row = (struct source){.tag = tag};
    return row;
}

enum census_class source_class(const struct source *source)
{
    const unsigned scanning = 1u << SINK_HTTP_SCAN | 1u << SINK_CRAWLER | 1u << SINK_MONITOR |
                              1u << SINK_SSH | 1u << SINK_SMB | 1u << SINK_RDP | 1u << SINK_PROBE;
    const unsigned malware = 1u << SINK_CHECKIN | 1u << SINK_BEACON;
    if (__builtin_popcount(source->families) >= SOURCE_FAMILIES_MIN)
        return CENSUS_HUNTER;
    if ((source->kinds & scanning) != 0)
        return CENSUS_SCANNER;
    if (source->kinds == 1u << SINK_DNS)
        return CENSUS_RESOLVER;
    /* A victim of a family without ids comes to one port and again; a port scan to several. */
    if ((source->kinds & malware) == 0 && __builtin_popcount(source->ports) > 1)
        return CENSUS_SCANNER;
    return CENSUS_UNKNOWN;
}

void sources_free(struct sources *sources, struct memory_budget *budget)
{
    for (unsigned class = 0; class < CENSUS_CLASS_COUNT; class ++)
        hyperloglog_clear(&sources->gone[class], budget);
    budget_free(budget, sources->rows, sources->row_count * sizeof(*sources->rows));
}
