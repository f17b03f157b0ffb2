#include "sink/client_hello.h"

#include <errno.h>
#include <string.h>

#include "sink/ja4.h"

#define RECORD_HEADER_SIZE  5
#define RECORD_HANDSHAKE    22
#define RECORD_SIZE_MAX     ((size_t)1 << 14) /* RFC 8446, 5.1 */
#define HANDSHAKE_HEAD_SIZE 4
#define CLIENT_HELLO        1

enum extension {
    EXTENSION_SERVER_NAME = 0,           /* RFC 6066, 3 */
    EXTENSION_SIGNATURE_ALGORITHMS = 13, /* RFC 8446, 4.2.3 */
    EXTENSION_ALPN = 16,                 /* RFC 7301, 3.1 */
    EXTENSION_SUPPORTED_VERSIONS = 43,   /* RFC 8446, 4.2.1 */
    EXTENSION_QUIC_PARAMETERS = 57,      /* RFC 9001, 8.2 */
};

#define HOST_NAME 0 /* the name type of RFC 6066, 3 */

bool client_hello_begins(const uint8_t *octets, size_t size)
{
    return size > RECORD_HEADER_SIZE && octets[0] == RECORD_HANDSHAKE && octets[1] == 3 &&
           octets[2] <= 4 && octets[RECORD_HEADER_SIZE] == CLIENT_HELLO;
}

/* ---- Records ---- */

/* Collects the handshake's octets out of the records until `wanted` are there. */
static int records_join(const uint8_t *octets, size_t size, size_t wanted, uint8_t *ret_message)
{
    size_t joined = 0;

    for (size_t at = 0; joined < wanted;) {
        if (size - at < RECORD_HEADER_SIZE)
            return -EAGAIN;
        size_t record = hello_code(octets + at + 3);
        if (octets[at] != RECORD_HANDSHAKE || octets[at + 1] != 3 || octets[at + 2] > 4 ||
            record == 0 || record > RECORD_SIZE_MAX)
            return -EBADMSG;
        at += RECORD_HEADER_SIZE;
        size_t there = record < size - at ? record : size - at;
        size_t taken = there < wanted - joined ? there : wanted - joined;
        memcpy(ret_message + joined, octets + at, taken);
        joined += taken;
        at += there;
        if (there < record && joined < wanted)
            return -EAGAIN;
    }
    return 0;
}

static int message_read(const uint8_t *octets, size_t size, uint8_t *ret_message, size_t *ret_size)
{
    int rc = records_join(octets, size, HANDSHAKE_HEAD_SIZE, ret_message);
    if (rc < 0)
        return rc;
    size_t body = (size_t)ret_message[1] << 16 | hello_code(ret_message + 2);
    if (ret_message[0] != CLIENT_HELLO || body > HELLO_SIZE_MAX - HANDSHAKE_HEAD_SIZE)
        return -EBADMSG;
    *ret_size = HANDSHAKE_HEAD_SIZE + body;
    return records_join(octets, size, *ret_size, ret_message);
}

/* ---- The message ---- */

/* Takes `count` octets from the front. */
static bool part_take(struct hello_part *from, size_t count, struct hello_part *ret_part)
{
    if (from->size < count)
        return false;
    *ret_part = (struct hello_part){from->octets, count};
    from->octets += count;
    from->size -= count;
    return true;
}

/* Takes a vector whose size stands before it in one or two octets (RFC 8446, 3.4). */
static bool vector_take(struct hello_part *from, size_t size_octets, struct hello_part *ret_vector)
{
    struct hello_part head;
    if (!part_take(from, size_octets, &head))
        return false;
    size_t size = size_octets == 1 ? head.octets[0] : hello_code(head.octets);
    return part_take(from, size, ret_vector);
}

static bool is_host_octet(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

static char lower(uint8_t octet)
{
    return (char)(octet >= 'A' && octet <= 'Z' ? octet | 0x20 : octet);
}

/* A name of letters, digits, '-' and '_' with a dot, not an IPv4 address: what orders can list. */
static bool host_name_copy(const struct hello_part *name, char ret_name[static 256])
{
    char copy[256];
    size_t size = name->size;
    bool has_letter = false;

    if (size > 0 && name->octets[size - 1] == '.')
        size--;
    if (size == 0 || size > 253 || name->octets[0] == '.')
        return false;
    for (size_t i = 0; i < size; i++) {
        copy[i] = lower(name->octets[i]);
        if (!is_host_octet(copy[i]) || (copy[i] == '.' && i > 0 && copy[i - 1] == '.'))
            return false;
        has_letter = has_letter || (copy[i] >= 'a' && copy[i] <= 'z');
    }
    copy[size] = '\0';
    if (has_letter)
        memcpy(ret_name, copy, size + 1);
    return has_letter;
}

static void server_name_read(struct hello_part value, struct client_hello *hello)
{
    struct hello_part list, type, name;

    if (!vector_take(&value, 2, &list))
        return;
    while (part_take(&list, 1, &type) && vector_take(&list, 2, &name)) {
        if (type.octets[0] == HOST_NAME && host_name_copy(&name, hello->server_name))
            return;
    }
}

static void protocol_read(struct hello_part value, struct hello_offer *offer,
                          struct client_hello *hello)
{
    struct hello_part list, name;

    if (!vector_take(&value, 2, &list) || !vector_take(&list, 1, &name))
        return;
    offer->protocol = name;
    size_t size = name.size < sizeof(hello->alpn) ? name.size : sizeof(hello->alpn) - 1;
    for (size_t i = 0; i < size; i++) {
        uint8_t octet = name.octets[i];
        hello->alpn[i] = octet > ' ' && octet < 0x7f ? (char)octet : '.';
    }
    hello->alpn[size] = '\0';
}

/* A value that is not as its RFC says counts as an extension and tells nothing else. */
static void extension_read(uint16_t type, struct hello_part value, struct hello_offer *offer,
                           struct client_hello *hello)
{
    struct hello_part list;

    switch (type) {
    case EXTENSION_SERVER_NAME:
        offer->has_server_name = true;
        server_name_read(value, hello);
        break;
    case EXTENSION_ALPN:
        protocol_read(value, offer, hello);
        break;
    case EXTENSION_SIGNATURE_ALGORITHMS:
        if (vector_take(&value, 2, &list))
            offer->signature_algorithms = list;
        break;
    case EXTENSION_SUPPORTED_VERSIONS:
        offer->has_versions = true;
        if (vector_take(&value, 1, &list))
            offer->versions = list;
        break;
    case EXTENSION_QUIC_PARAMETERS:
        offer->has_quic = true;
        break;
    default:
        break;
    }
}

static bool extensions_read(struct hello_part block, struct hello_offer *offer,
                            struct client_hello *hello)
{
    struct hello_part type, value;

    offer->extensions = block;
    while (block.size > 0) {
        if (!part_take(&block, 2, &type) || !vector_take(&block, 2, &value))
            return false;
        extension_read(hello_code(type.octets), value, offer, hello);
    }
    return true;
}

/* RFC 8446, 4.1.2. Clients before RFC 3546 end without extensions. */
static bool message_parse(struct hello_part message, struct hello_offer *offer,
                          struct client_hello *hello)
{
    struct hello_part version, random, session, compression, extensions;

    if (!part_take(&message, 2, &version) || !part_take(&message, 32, &random) ||
        !vector_take(&message, 1, &session) || !vector_take(&message, 2, &offer->ciphers) ||
        offer->ciphers.size % 2 != 0 || !vector_take(&message, 1, &compression))
        return false;
    offer->legacy_version = hello_code(version.octets);
    if (message.size == 0)
        return true;
    return vector_take(&message, 2, &extensions) && message.size == 0 &&
           extensions_read(extensions, offer, hello);
}

int client_hello_read(const uint8_t *octets, size_t size, struct client_hello *ret_hello)
{
    uint8_t message[HELLO_SIZE_MAX];
    size_t message_size;
    struct hello_offer offer = {0};
    struct client_hello hello = {0};

    int rc = message_read(octets, size, message, &message_size);
    if (rc < 0)
        return rc;
    const struct hello_part body = {message + HANDSHAKE_HEAD_SIZE,
                                    message_size - HANDSHAKE_HEAD_SIZE};
    if (!message_parse(body, &offer, &hello))
        return -EBADMSG;
    hello.version = ja4_version(&offer);
    ja4_write(&offer, hello.ja4);
    *ret_hello = hello;
    return 0;
}
