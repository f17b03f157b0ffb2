/* A message of a zone transfer, as an origin might send it: whatever its octets, its records are
 * refused or become a zone, and its signature is judged. */
#include "fuzz/fuzz.h"

#include "dns/record_reader.h"
#include "zone/tsig_client.h"
#include "zone/zone_data.h"

#include <libknot/descriptor.h>

static const uint8_t apex[] = "\1a\7example";
static const struct transfer_key key = {"xfr", "hmac-sha256", "bm90LWEtcmVhbC1zZWNyZXQ="};

static void check_record(const struct record *record)
{
    FUZZ_ASSERT(record->owner_size >= 1 && name_wire_size(record->owner) == record->owner_size);
    FUZZ_ASSERT(record->ttl_s <= INT32_MAX);
}

static void check_signature(const uint8_t *data, size_t size, const struct record *tsig)
{
    struct tsig_client *client;
    struct error error;
    uint8_t request[1024] = {0};
    size_t request_size = MESSAGE_HEADER_SIZE;
    char text[256];

    tsig_error_explain(tsig, &key, text, sizeof(text));
    FUZZ_ASSERT(tsig_client_create(&key, &client, &error) == 0);
    FUZZ_ASSERT(tsig_client_sign(client, request, &request_size, sizeof(request), &error) == 0);
    /* Nobody but the holder of the key can sign the request that was made just now. */
    FUZZ_ASSERT(tsig_client_verify(client, data, size, tsig, &error) < 0);
    FUZZ_ASSERT(error.text[0] != '\0' && !tsig_client_is_complete(client));
    tsig_client_free(client);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct record_reader *reader;
    struct zone_builder *builder;
    struct zone_data *zone;
    struct record record;
    struct error error;
    uint8_t question[NAME_SIZE_MAX];
    uint16_t type, class;

    if (size < MESSAGE_HEADER_SIZE || size > MESSAGE_SIZE_MAX)
        return 0;
    if (reader == NULL)
        reader = record_reader_create();
    FUZZ_ASSERT(reader != NULL && zone_builder_create(apex, &builder) == 0);

    record_reader_init(reader, input, size);
    if (input[5] != 0 && record_reader_question(reader, question, &type, &class) < 0) {
        zone_builder_free(builder);
        return 0;
    }
    while (record_reader_next(reader, &record) == 0) {
        check_record(&record);
        if (record.type == KNOT_RRTYPE_TSIG)
            check_signature(input, size, &record);
        else
            FUZZ_ASSERT(zone_builder_add(builder, record.owner, record.type, record.ttl_s,
                                         record.rdata, record.rdata_size, &error) <= 0);
    }
    if (zone_builder_finish(builder, &zone, &error) == 0)
        zone_data_free(zone);
    zone_builder_free(builder);
    return 0;
}
