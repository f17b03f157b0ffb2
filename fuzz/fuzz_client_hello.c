/* Any octets as the beginning of a connection: what is read of a hello is text that can be shown,
 * and a part of a hello is none yet. */
#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "sink/client_hello.h"

static void check_text(const char *text, size_t size_max)
{
    FUZZ_ASSERT(strlen(text) < size_max);
    for (; *text != '\0'; text++)
        FUZZ_ASSERT(*text > ' ' && *text < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct client_hello hello, part;

    int rc = client_hello_read(input, size, &hello);
    FUZZ_ASSERT(rc == 0 || rc == -EAGAIN || rc == -EBADMSG);
    if (rc != 0)
        return 0;
    FUZZ_ASSERT(client_hello_begins(input, size));
    FUZZ_ASSERT(strlen(hello.ja4) == JA4_SIZE - 1);
    check_text(hello.ja4, sizeof(hello.ja4));
    check_text(hello.alpn, sizeof(hello.alpn));
    check_text(hello.server_name, sizeof(hello.server_name));

    /* Whatever its end is, the hello is the same once it is there, and before that it isn't. */
    size_t whole = size;
    while (whole > 0 && client_hello_read(input, whole - 1, &part) == 0) {
        FUZZ_ASSERT(strcmp(part.ja4, hello.ja4) == 0);
        whole--;
    }
    FUZZ_ASSERT(whole > 0 && client_hello_read(input, whole - 1, &part) == -EAGAIN);
    return 0;
}
