/* Reads live traffic in a process of its own, without rights: what strangers send is parsed there,
 * and all that comes out of it are questions about the zones wanted, by name, type and DNSSEC bit.
 * Who asked never leaves it.
 *
 * The reader never waits for whoever takes its questions: those for which there is no room are
 * dropped and counted. One thread at a time.
 */
#pragma once

#include "cli/prove_exchange.h"
#include "order/traffic_live.h"

struct live_reader_options {
    struct traffic_live_options traffic;
    const uint8_t *const *zones; /* apexes in wire form, lower case */
    size_t zone_count;
};

struct live_figures {
    struct traffic_report report;
    uint64_t outside; /* queries for names in none of the zones */
    uint64_t dropped; /* queries that found no room on their way */
};

struct live_reader;

/* Takes one question about a zone, by its index; name_size, name, type and dnssec_ok are set. */
typedef void live_reader_fn(void *context, size_t zone, const struct exchange_question *question);

/* Opens the source and returns when it is read; why it cannot be opened is the error. The options
 * are not needed afterwards. Call it before there are threads. */
_must_check_ int live_reader_start(const struct live_reader_options *options,
                                   struct live_reader **ret_reader, struct error *ret_error);

/* Ends the reading and the process. */
void live_reader_free(struct live_reader *reader);
DEFINE_FREEP(struct live_reader, live_reader_free)

/* Waits for questions, at most `timeout_ms`, and hands out what came. Returns 0, 1 when the reader
 * has ended after live_reader_stop(), or a negative errno when it has without. */
_must_check_ int live_reader_step(struct live_reader *reader, int timeout_ms, live_reader_fn *take,
                                  void *context, struct error *ret_error);

/* Has the reader end; what it still holds comes by live_reader_step(). */
void live_reader_stop(struct live_reader *reader);

/* As the reader told last. */
const struct live_figures *live_reader_figures(const struct live_reader *reader);

/* Whether the reader could give up its rights. */
bool live_reader_is_confined(const struct live_reader *reader);
