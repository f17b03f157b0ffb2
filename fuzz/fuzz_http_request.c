/* The head of an HTTP request. What is read of a part of it must not change when more comes, but
 * for what was not whole. */
#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "sink/http_request.h"

static bool within(struct sink_text text, const uint8_t *input, size_t size)
{
    return text.size == 0 || (text.octets >= input && text.size <= size &&
                              (size_t)(text.octets - input) <= size - text.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct http_request request;
    int rc = http_request_read(input, size, &request);
    FUZZ_ASSERT(rc == 0 || rc == -EAGAIN || rc == -EBADMSG);
    if (rc == -EBADMSG)
        return 0;
    FUZZ_ASSERT(request.method.size > 0 && request.target.size > 0);
    FUZZ_ASSERT(within(request.method, input, size) && within(request.target, input, size) &&
                within(request.version, input, size) && within(request.host, input, size) &&
                within(request.agent, input, size) && within(request.body, input, size));
    if (rc == 0) {
        /* The same head with a body that came later. */
        static uint8_t longer[65536 + 16];
        if (size > 65536)
            return 0;
        memcpy(longer, input, size);
        memset(longer + size, 'x', 16);
        struct http_request again;
        FUZZ_ASSERT(http_request_read(longer, size + 16, &again) == 0);
        FUZZ_ASSERT(again.agent.size == request.agent.size && again.host.size == request.host.size);
    }
    return 0;
}
