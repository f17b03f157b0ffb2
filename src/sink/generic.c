/* What isn't a family's: HTTP by who sends it and what for (generic_http.c), and the openings of
 * other protocols.
 *
 * Sources: the protocols' own documents, named at each; for what has none, the probes of Nmap
 * (nmap-service-probes) and ZMap's zgrab.
 */
#include "sink/generic_http.h"
#include "sink/text_part.h"

/* A protocol whose first octets are always the same. */
struct opening {
    const char *name;
    enum sink_kind kind;
    size_t at;          /* where in the flight */
    const char *octets; /* ended by `size`, not by NUL */
    size_t size;
};

#define OPENING(name, kind, at, octets)            \
    {                                              \
        name, kind, at, octets, sizeof(octets) - 1 \
    }

static const struct opening openings[] = {
    OPENING("ssh", SINK_SSH, 0, "SSH-"),        /* RFC 4253, section 4.2 */
    OPENING("smb", SINK_SMB, 4, "\xffSMB"),     /* [MS-SMB], behind a session header */
    OPENING("smb", SINK_SMB, 4, "\xfeSMB"),     /* [MS-SMB2] */
    OPENING("smb", SINK_SMB, 4, "\xfdSMB"),     /* [MS-SMB2], encrypted */
    OPENING("vnc", SINK_PROBE, 0, "RFB 00"),    /* RFC 6143, section 7.1.1 */
    OPENING("mqtt", SINK_PROBE, 2, "\0\4MQTT"), /* MQTT 3.1.1, section 3.1 */
    OPENING("mqtt", SINK_PROBE, 2, "\0\6MQIsdp"),
    OPENING("jrmi", SINK_PROBE, 0, "JRMI\0"), /* Java RMI, section 10.2 */
    OPENING("adb", SINK_PROBE, 0, "CNXN\0\0\0\1"),
    OPENING("adb", SINK_PROBE, 0, "CNXN\1\0\0\1"),
    OPENING("postgresql", SINK_PROBE, 0, "\0\0\0\10\4\322\26\57"), /* SSLRequest */
    OPENING("postgresql", SINK_PROBE, 4, "\0\3\0\0user\0"),
    OPENING("mssql", SINK_PROBE, 0, "\x12\1\0"), /* [MS-TDS], PRELOGIN */
    OPENING("bittorrent", SINK_PROBE, 0, "\023BitTorrent protocol"),
    OPENING("mongodb", SINK_PROBE, 12, "\xd4\7\0\0"), /* OP_QUERY */
    OPENING("mongodb", SINK_PROBE, 12, "\xdd\7\0\0"), /* OP_MSG */
    OPENING("bitcoin", SINK_PROBE, 0, "\xf9\xbe\xb4\xd9"),
    OPENING("dcerpc", SINK_PROBE, 0, "\5\0\xb\3"), /* C706, bind */
    OPENING("socks", SINK_PROBE, 0, "\5\1\0"),     /* RFC 1928 */
    OPENING("socks", SINK_PROBE, 0, "\5\2\0"),
    OPENING("socks", SINK_PROBE, 0, "\4\1\0\x50"),
    OPENING("socks", SINK_PROBE, 0, "\4\1\1\xbb"),
    OPENING("stun", SINK_PROBE, 4, "\x21\x12\xa4\x42"), /* RFC 8489 */
    OPENING("x11", SINK_PROBE, 0, "l\0\xb\0"),
    OPENING("ajp", SINK_PROBE, 0, "\x12\x34\0"),
    OPENING("magellan", SINK_PROBE, 0, "MGLNDD_"), /* a scanner's greeting */
    OPENING("redis", SINK_PROBE, 0, "*1\r\n$"),    /* RESP */
    OPENING("redis", SINK_PROBE, 0, "*2\r\n$"),
    OPENING("redis", SINK_PROBE, 0, "*3\r\n$"),
    OPENING("cassandra", SINK_PROBE, 0, "\4\0\0\0\5"),
    OPENING("git", SINK_PROBE, 4, "git-upload-pack "),
    OPENING("snmp", SINK_PROBE, 2, "\2\1\0\4\6public"), /* RFC 3584 */
    OPENING("snmp", SINK_PROBE, 2, "\2\1\1\4\6public"),
    OPENING("amqp", SINK_PROBE, 0, "AMQP"),
    OPENING("giop", SINK_PROBE, 0, "GIOP\1"),                              /* CORBA */
    OPENING("xmpp", SINK_PROBE, 0, "<?xml version='1.0'?><stream:stream"), /* RFC 6120 */
    OPENING("http2", SINK_HTTP, 0, "PRI * HTTP/2.0\r\n"), /* RFC 9113, section 3.4 */
};

/* Commands of protocols made of lines; what follows them is a space or the line's end. */
static const struct line_opening {
    const char *name, *word; /* in lower case */
} line_openings[] = {
    {"smtp", "ehlo"},         {"smtp", "helo"},      {"smtp", "mail from:"}, {"ftp", "user"},
    {"ftp", "feat"},          {"imap", "a1 "},       {"imap", "a001 "},      {"irc", "nick"},
    {"redis", "info"},        {"redis", "ping"},     {"redis", "keys"},      {"memcached", "stats"},
    {"memcached", "version"}, {"help", "help"},      {"help", "quit"},       {"weblogic", "t3 "},
    {"weblogic", "t3s "},     {"zookeeper", "ruok"}, {"zookeeper", "envi"},  {"finger", "root"},
    {"irc", "cap ls"},        {"irc", "pass"},
};

static bool is_line_opening(struct sink_text flight, struct sink_recognition *recognition)
{
    for (size_t i = 0; i < sizeof(line_openings) / sizeof(line_openings[0]); i++) {
        const struct line_opening *opening = &line_openings[i];
        size_t size = strlen(opening->word);
        if (!text_begins_as(flight, opening->word))
            continue;
        bool ends = opening->word[size - 1] == ' ' || opening->word[size - 1] == ':' ||
                    size == flight.size || strchr(" \r\n", flight.octets[size]) != NULL;
        if (!ends || (size < flight.size && flight.octets[size] == '\0'))
            continue;
        recognition->rule = opening->name;
        return true;
    }
    return false;
}

/* TLS record layer, RFC 8446, section 5.1, or SSL 2.0's hello. */
static bool is_tls(struct sink_text flight)
{
    const uint8_t *at = flight.octets;
    if (flight.size >= 3 && at[0] == 0x16 && at[1] == 3 && at[2] <= 4)
        return flight.size < 6 || at[5] == 1;
    return flight.size >= 5 && at[0] == 0x80 && at[2] == 1 && (at[3] == 3 || at[3] == 0) &&
           at[4] <= 3;
}

/* TPKT with an X.224 connection request ([MS-RDPBCGR], section 2.2.1.1). */
static bool is_rdp(struct sink_text flight)
{
    const uint8_t *at = flight.octets;
    return flight.size >= 6 && at[0] == 3 && at[1] == 0 && at[5] == 0xe0 &&
           (size_t)(at[2] << 8 | at[3]) >= 11;
}

/* One question that is whole and is a query's (RFC 1035, section 4.1); what follows it are records
 * such as OPT. */
static bool is_query(struct sink_text message)
{
    const uint8_t *at = message.octets;
    if (message.size < 17 || (at[2] & 0xf8) != 0 || at[4] != 0 || at[5] != 1 || at[6] != 0 ||
        at[7] != 0 || at[8] != 0 || at[9] != 0 || at[10] != 0 || at[11] > 2)
        return false;
    size_t name = 12;
    while (name < message.size && at[name] != 0) {
        if (at[name] > 63)
            return false;
        name += at[name] + (size_t)1;
    }
    if (name + 5 > message.size || name > 12 + 254)
        return false;
    unsigned class = (unsigned)(at[name + 3] << 8 | at[name + 4]) & 0x7fff; /* mDNS's top bit */
    return class == 1 || class == 3 || class == 4 || class == 255;
}

static bool is_dns(struct sink_text flight)
{
    if (is_query(flight))
        return true;
    return flight.size > 2 &&
           (size_t)(flight.octets[0] << 8 | flight.octets[1]) + 2 == flight.size && /* over TCP */
           is_query(text_after(flight, 2));
}

/* "INVITE sip:x@host SIP/2.0" (RFC 3261), and RTSP's and SSDP's requests, which look like HTTP's.
 */
static const char *text_protocol(struct sink_text flight)
{
    struct sink_text line = text_first(flight, text_find(flight, text_word("\n")));
    if (text_has(line, " sip/2.0"))
        return "sip";
    if (text_has(line, " rtsp/1.0"))
        return "rtsp";
    if (text_begins(flight, text_word("M-SEARCH * ")))
        return "ssdp";
    return NULL;
}

/* Openings of which some octets may differ. */
static const char *binary_protocol(struct sink_text flight)
{
    const uint8_t *at = flight.octets;
    size_t size = flight.size;
    if (size >= 3 && at[0] == 0xff && at[1] >= 0xfb && at[1] <= 0xfe)
        return "telnet"; /* RFC 854: IAC WILL, WONT, DO or DONT */
    if (size >= 12 && at[0] == 0x30 && at[1] < 0x80 && at[2] == 2 && at[3] == 1 &&
        (at[5] == 0x60 || at[5] == 0x63))
        return "ldap"; /* RFC 4511: bind or search */
    if (size >= 36 && at[3] == 1 && (at[4] & 0x80) == 0 && at[1] == 0 && at[2] == 0 &&
        (size_t)at[0] + 4 == size && at[12] < 64 && at[13] == 0)
        return "mysql"; /* HandshakeResponse41 */
    if (size >= 8 && at[2] == 0 && at[3] == 0 && (size_t)(at[4] << 8 | at[5]) + 6 == size &&
        (at[7] == 0x11 || at[7] == 0x2b || (at[7] >= 1 && at[7] <= 0x10)))
        return "modbus";
    if (size == 48 && (at[0] & 7) == 3 && (at[0] >> 3 & 7) >= 1 && (at[0] >> 3 & 7) <= 4)
        return "ntp"; /* RFC 5905: of a client */
    return NULL;
}

static bool is_opening(struct sink_text flight, struct sink_recognition *recognition)
{
    for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
        const struct opening *opening = &openings[i];
        if (flight.size >= opening->at && text_begins(text_after(flight, opening->at),
                                                      text_part(opening->octets, opening->size))) {
            recognition->kind = opening->kind;
            recognition->rule = opening->name;
            return true;
        }
    }
    return false;
}

static bool found(struct sink_recognition *recognition, enum sink_kind kind, const char *rule)
{
    recognition->kind = kind;
    recognition->rule = rule;
    return true;
}

bool generic_recognise(const uint8_t *octets, size_t size, struct sink_recognition *recognition)
{
    struct sink_text flight = text_part(octets, size);
    const char *rule;

    recognition->family = "";
    if (is_tls(flight))
        return found(recognition, SINK_TLS, "tls");
    if (is_rdp(flight))
        return found(recognition, SINK_RDP, "rdp");
    if (is_dns(flight)) /* before what begins with any number, such as AJP's 0x1234 */
        return found(recognition, SINK_DNS, "dns");
    if (is_opening(flight, recognition))
        return true;
    if ((rule = text_protocol(flight)) != NULL)
        return found(recognition, SINK_PROBE, rule);
    if (generic_http_recognise(octets, size, recognition))
        return true;
    if ((rule = binary_protocol(flight)) != NULL)
        return found(recognition, SINK_PROBE, rule);
    if (is_line_opening(flight, recognition)) {
        recognition->kind = SINK_PROBE;
        return true;
    }
    return false;
}
