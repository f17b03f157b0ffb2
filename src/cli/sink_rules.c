/* tamis sink rules: the rules of nftables that lead every port of the sinkhole's addresses to the
 * listeners of tamis-sink. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "order/order.h"
#include "sink/sink_config.h"

/* What marks a packet that is led to the sinkhole, and the table of routes that takes it in. */
#define MARK        "0x7a51"
#define ROUTE_TABLE "31313"

/* A host is kept reachable unless somebody says otherwise. */
#define EXCEPT_DEFAULT "22"

#define ADDRESSES_MAX  10000
#define INTERFACES_MAX 64

struct rules_options {
    const char *config;
    const char *except; /* NULL: no port */
    const char *interfaces[INTERFACES_MAX];
    size_t interface_count;
    const char *addresses[ADDRESSES_MAX]; /* as given; prefixes, too */
    size_t address_count;
    bool json;
};

/* What the rules are about: the sinkhole's addresses by family, in nftables' words. */
struct addresses {
    char *texts[2][ADDRESSES_MAX]; /* IPv4, IPv6 */
    size_t counts[2];
};

static bool is_ipv6(const struct config_address *address)
{
    return address->address.ss_family == AF_INET6;
}

static unsigned port_of(const struct config_address *address)
{
    /* The port stands in the same place of both families. */
    return ntohs(((const struct sockaddr_in *)&address->address)->sin_port);
}

/* An address that clients can reach: neither the wildcard nor this machine's loopback. */
static bool is_reachable(const struct config_address *address)
{
    if (is_ipv6(address)) {
        const struct in6_addr *ip = &((const struct sockaddr_in6 *)&address->address)->sin6_addr;
        return !IN6_IS_ADDR_UNSPECIFIED(ip) && !IN6_IS_ADDR_LOOPBACK(ip);
    }
    uint32_t ip = ntohl(((const struct sockaddr_in *)&address->address)->sin_addr.s_addr);
    return ip != INADDR_ANY && ip >> 24 != 127;
}

static bool is_wildcard(const struct config_address *address)
{
    if (is_ipv6(address))
        return IN6_IS_ADDR_UNSPECIFIED(
            &((const struct sockaddr_in6 *)&address->address)->sin6_addr);
    return ((const struct sockaddr_in *)&address->address)->sin_addr.s_addr == INADDR_ANY;
}

static const void *octets_of(const struct config_address *address)
{
    if (is_ipv6(address))
        return &((const struct sockaddr_in6 *)&address->address)->sin6_addr;
    return &((const struct sockaddr_in *)&address->address)->sin_addr;
}

/* ---- Options ---- */

/* "22", "80,443,8000-8999". */
static bool are_ports(const char *text)
{
    for (;;) {
        char *end;
        unsigned long first = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
        if (first == 0 || first > UINT16_MAX)
            return false;
        unsigned long last = first;
        if (*end == '-') {
            text = end + 1;
            last = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
        }
        if (last < first || last > UINT16_MAX)
            return false;
        if (*end == '\0')
            return true;
        if (*end != ',')
            return false;
        text = end + 1;
    }
}

/* A name as the kernel takes it, or a beginning with '*'. */
static bool is_interface(const char *text)
{
    size_t size = strlen(text);
    return size > 0 && size < IF_NAMESIZE && strpbrk(text, "\"/\\ \t\n") == NULL;
}

static int option_take(int option, struct rules_options *options)
{
    switch (option) {
    case 'c':
        options->config = optarg;
        return EXIT_OK;
    case 'i':
        if (!is_interface(optarg) || options->interface_count == INTERFACES_MAX)
            return command_usage_error(&command_sink_rules, "\"%s\" is no name of an interface",
                                       optarg);
        options->interfaces[options->interface_count++] = optarg;
        return EXIT_OK;
    case 'a':
        if (options->address_count == ADDRESSES_MAX)
            return command_usage_error(&command_sink_rules, "more than %d addresses: use prefixes",
                                       ADDRESSES_MAX);
        options->addresses[options->address_count++] = optarg;
        return EXIT_OK;
    case 'e':
        options->except = strcmp(optarg, "none") == 0 ? NULL : optarg;
        if (options->except != NULL && !are_ports(optarg))
            return command_usage_error(&command_sink_rules,
                                       "\"%s\" are no ports: write 22,8000-8999 or none", optarg);
        return EXIT_OK;
    case 'j':
        options->json = true;
        return EXIT_OK;
    case ':':
        return command_usage_error(&command_sink_rules, "%s needs a value", optarg);
    default:
        return command_usage_error(&command_sink_rules, "unknown option %s", optarg);
    }
}

static int options_parse(int argc, char **argv, struct rules_options *options)
{
    static const struct option table[] = {
        {"config", required_argument, NULL, 'c'},  {"interface", required_argument, NULL, 'i'},
        {"address", required_argument, NULL, 'a'}, {"except", required_argument, NULL, 'e'},
        {"json", no_argument, NULL, 'j'},          {0},
    };
    int option;

    options->except = EXCEPT_DEFAULT;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:", table, NULL)) != -1) {
        if (option == ':' || option == '?')
            optarg = argv[optind - 1];
        int code = option_take(option, options);
        if (code != EXIT_OK)
            return code;
    }
    if (optind < argc)
        return command_usage_error(&command_sink_rules, "unexpected argument %s", argv[optind]);
    if (options->config == NULL)
        return command_usage_error(&command_sink_rules, "no configuration given: add -c FILE");
    return EXIT_OK;
}

/* ---- Addresses ---- */

static int address_add(struct addresses *addresses, bool ipv6, const char *text)
{
    size_t *count = &addresses->counts[ipv6];
    if (*count == ADDRESSES_MAX)
        return -E2BIG;
    addresses->texts[ipv6][*count] = strdup(text);
    if (addresses->texts[ipv6][*count] == NULL)
        return -ENOMEM;
    ++*count;
    return 0;
}

static int order_addresses(const struct verdict *verdict, struct addresses *addresses)
{
    char text[INET6_ADDRSTRLEN];
    int rc = 0;

    for (size_t i = 0; i < verdict->a_count && rc == 0; i++)
        rc = address_add(addresses, false, inet_ntop(AF_INET, verdict->a[i], text, sizeof(text)));
    for (size_t i = 0; i < verdict->aaaa_count && rc == 0; i++)
        rc =
            address_add(addresses, true, inet_ntop(AF_INET6, verdict->aaaa[i], text, sizeof(text)));
    return rc;
}

static int orders_addresses(const struct sink_config *config, struct addresses *addresses,
                            struct error *ret_error)
{
    const struct order_policy policy = {.unverified = true};
    int rc = 0;

    for (size_t i = 0; i < config->order_count && rc == 0; i++) {
        _cleanup_(order_freep) struct order *order = NULL;
        rc = order_load(config->orders[i], &policy, &order, ret_error);
        if (rc < 0)
            return rc;
        if (order_addresses(&order->verdict, addresses) < 0)
            rc = error_set_at(ret_error, -E2BIG, config->orders[i], 0,
                              "more than %d addresses of orders: name prefixes with --address",
                              ADDRESSES_MAX);
    }
    return rc;
}

/* Those of the command line, else of the listeners that have one, and of the orders. */
static int addresses_collect(const struct sink_config *config, const struct rules_options *options,
                             struct addresses *addresses, struct error *ret_error)
{
    char text[INET6_ADDRSTRLEN];
    int rc = 0;

    for (size_t i = 0; i < options->address_count && rc == 0; i++) {
        struct config_address address;
        if (strchr(options->addresses[i], '@') != NULL)
            return error_set(ret_error, -EINVAL, "\"%s\" has a port: all of them are led",
                             options->addresses[i]);
        rc = config_address_parse(options->addresses[i], 0, &address, ret_error);
        if (rc == 0)
            rc = address_add(addresses, is_ipv6(&address), options->addresses[i]);
    }
    for (size_t i = 0; i < config->listen_count && rc == 0; i++) {
        const struct config_address *address = &config->listen[i].address;
        if (config->listen[i].transparent && is_reachable(address))
            rc = address_add(
                addresses, is_ipv6(address),
                inet_ntop(address->address.ss_family, octets_of(address), text, sizeof(text)));
    }
    if (rc == 0)
        rc = orders_addresses(config, addresses, ret_error);
    if (rc == 0 && addresses->counts[false] + addresses->counts[true] == 0)
        rc = error_set_at(ret_error, -ENOENT, options->config, 0,
                          "no address of the sinkhole is known: give --address 192.0.2.66, or "
                          "orders that lead to it");
    return rc;
}

/* ---- Rules ---- */

static void set_print(FILE *stream, const char *name, const char *type, char *const *texts,
                      size_t count)
{
    if (count == 0)
        return;
    fprintf(stream,
            "    set %s {\n"
            "        type %s; flags interval; auto-merge\n"
            "        elements = { ",
            name, type);
    for (size_t i = 0; i < count; i++)
        fprintf(stream, "%s%s", i > 0 ? ",\n                     " : "", texts[i]);
    fputs(" }\n    }\n", stream);
}

static void arriving_print(FILE *stream, const struct rules_options *options,
                           const struct addresses *addresses)
{
    fputs("    chain arriving {\n"
          "        type filter hook prerouting priority mangle; policy accept;\n",
          stream);
    if (options->interface_count > 0) {
        fputs("        iifname != { ", stream);
        for (size_t i = 0; i < options->interface_count; i++)
            fprintf(stream, "%s\"%s\"", i > 0 ? ", " : "", options->interfaces[i]);
        fputs(" } return\n", stream);
    }
    if (addresses->counts[false] > 0)
        fputs("        ip daddr @addresses4 meta l4proto { tcp, udp } goto sinkhole\n", stream);
    if (addresses->counts[true] > 0)
        fputs("        ip6 daddr @addresses6 meta l4proto { tcp, udp } goto sinkhole\n", stream);
    fputs("    }\n", stream);
}

/* One rule for a listener: what goes to its own address, or, when it has none, to any. */
static void listener_print(FILE *stream, const struct sensor_listen *listen)
{
    const struct config_address *address = &listen->address;
    const char *family = is_ipv6(address) ? "ip6" : "ip";
    char text[INET6_ADDRSTRLEN];

    inet_ntop(address->address.ss_family, octets_of(address), text, sizeof(text));
    fputs("        ", stream);
    if (is_reachable(address))
        fprintf(stream, "%s daddr %s ", family, text);
    else
        fprintf(stream, "meta nfproto %s ", is_ipv6(address) ? "ipv6" : "ipv4");
    fprintf(stream, "meta l4proto %s tproxy %s to ", listen->transport == SINK_UDP ? "udp" : "tcp",
            family);
    if (!is_wildcard(address))
        fprintf(stream, is_ipv6(address) ? "[%s]" : "%s", text);
    fprintf(stream, ":%u meta mark set " MARK " accept\n", port_of(address));
}

static void sinkhole_print(FILE *stream, const struct rules_options *options,
                           const struct sink_config *config)
{
    fputs("    chain sinkhole {\n", stream);
    if (options->except != NULL)
        fprintf(stream, "        th dport { %s } return\n", options->except);
    fputs("        # connections that the sinkhole has already\n"
          "        socket transparent 1 meta mark set " MARK " accept\n"
          "        # ports and connections of the host's other programs\n"
          "        socket transparent 0 return\n",
          stream);
    for (int own_address = 1; own_address >= 0; own_address--)
        for (size_t i = 0; i < config->listen_count; i++)
            if (config->listen[i].transparent &&
                is_reachable(&config->listen[i].address) == own_address)
                listener_print(stream, &config->listen[i]);
    fputs("    }\n", stream);
}

static const char *const route_commands[2][2] = {
    {"ip rule add fwmark " MARK " lookup " ROUTE_TABLE,
     "ip route add local 0.0.0.0/0 dev lo table " ROUTE_TABLE},
    {"ip -6 rule add fwmark " MARK " lookup " ROUTE_TABLE,
     "ip -6 route add local ::/0 dev lo table " ROUTE_TABLE},
};

static void rules_print(FILE *stream, const struct rules_options *options,
                        const struct sink_config *config, const struct addresses *addresses)
{
    fputs(
        "# Made by \"tamis sink rules\" for nft(8). The routes that belong to it, once after each "
        "start:\n",
        stream);
    for (size_t family = 0; family < 2; family++)
        for (size_t i = 0; i < 2 && addresses->counts[family] > 0; i++)
            fprintf(stream, "#     %s\n", route_commands[family][i]);
    fputs("table inet tamis_sink\n"
          "delete table inet tamis_sink\n"
          "table inet tamis_sink {\n",
          stream);
    set_print(stream, "addresses4", "ipv4_addr", addresses->texts[false], addresses->counts[false]);
    set_print(stream, "addresses6", "ipv6_addr", addresses->texts[true], addresses->counts[true]);
    sinkhole_print(stream, options, config);
    arriving_print(stream, options, addresses);
    fputs("}\n", stream);
}

/* {"rules": text for nft, "routes": [commands], "addresses": [...]} */
static int json_print(const struct rules_options *options, const struct sink_config *config,
                      const struct addresses *addresses)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    if (stream == NULL)
        return -ENOMEM;
    rules_print(stream, options, config, addresses);
    if (fclose(stream) != 0) {
        free(text);
        return -ENOMEM;
    }
    json_t *routes = json_array(), *list = json_array();
    for (size_t family = 0; family < 2; family++) {
        for (size_t i = 0; i < 2 && addresses->counts[family] > 0; i++)
            json_array_append_new(routes, json_string(route_commands[family][i]));
        for (size_t i = 0; i < addresses->counts[family]; i++)
            json_array_append_new(list, json_string(addresses->texts[family][i]));
    }
    json_t *result =
        json_pack("{s:s, s:o, s:o}", "rules", text, "routes", routes, "addresses", list);
    free(text);
    if (result == NULL)
        return -ENOMEM;
    json_dumpf(result, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(result);
    return 0;
}

static int listeners_check(const struct sink_config *config, struct error *ret_error)
{
    for (size_t i = 0; i < config->listen_count; i++)
        if (config->listen[i].transparent)
            return 0;
    return error_set_at(ret_error, -ENOENT, config->path, 0,
                        "the sensor has no transparent listener: write sensor: { transparent: "
                        "[\"0.0.0.0@4000\", \"udp:0.0.0.0@4000\"] }");
}

static int make(const struct rules_options *options, struct addresses *addresses,
                struct error *ret_error)
{
    _cleanup_(sink_config_freep) struct sink_config *config = NULL;

    int rc = sink_config_load(options->config, &config, ret_error);
    if (rc == 0)
        rc = listeners_check(config, ret_error);
    if (rc == 0)
        rc = addresses_collect(config, options, addresses, ret_error);
    if (rc < 0)
        return rc;
    if (!options->json) {
        rules_print(stdout, options, config, addresses);
        return 0;
    }
    return json_print(options, config, addresses) < 0
               ? error_set(ret_error, -ENOMEM, "out of memory")
               : 0;
}

static int run(int argc, char **argv)
{
    struct rules_options *options = calloc(1, sizeof(*options));
    struct addresses *addresses = calloc(1, sizeof(*addresses));
    struct error error = {0};
    int code = EXIT_FINDING;

    if (options == NULL || addresses == NULL)
        fprintf(stderr, "tamis: out of memory\n");
    else if ((code = options_parse(argc, argv, options)) == EXIT_OK &&
             make(options, addresses, &error) < 0) {
        error_print(stderr, "tamis", &error);
        code = EXIT_FINDING;
    }
    for (size_t family = 0; addresses != NULL && family < 2; family++)
        for (size_t i = 0; i < addresses->counts[family]; i++)
            free(addresses->texts[family][i]);
    free(addresses);
    free(options);
    return code;
}

const struct command command_sink_rules = {
    .path = "sink rules",
    .summary = "print the nftables rules that lead all ports to the sinkhole",
    .help = "Usage: tamis sink rules -c FILE [OPTION]...\n"
            "\n"
            "Prints rules for nft(8) that lead every TCP and UDP port of the sinkhole's addresses\n"
            "to the transparent listeners of tamis-sink (TPROXY). Ports that another program of\n"
            "this host listens on stay its own. The addresses are those of the listeners, of the\n"
            "orders, and of --address.\n"
            "\n"
            "  -c, --config FILE      the configuration of tamis-sink\n"
            "      --interface NAME   only what comes in there; may be given again\n"
            "      --address ADDRESS  one more address, or a prefix; may be given again\n"
            "      --except PORTS     left alone in any case (default: 22); none: no port\n"
            "      --json             the rules and the commands for routes as one JSON object\n"
            "\n"
            "Example: tamis sink rules -c tamis-sink.yaml --interface eth0 | nft -f -\n",
    .run = run,
};
