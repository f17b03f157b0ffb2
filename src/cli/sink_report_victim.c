/* What all formats of a report say of a victim alike. */
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "cli/sink_report.h"

static bool address_write(const struct in6_addr *address, char ret_text[INET6_ADDRSTRLEN])
{
    const bool is_ipv4 = IN6_IS_ADDR_V4MAPPED(address);
    if (is_ipv4)
        (void)inet_ntop(AF_INET, &address->s6_addr[12], ret_text, INET6_ADDRSTRLEN);
    else
        (void)inet_ntop(AF_INET6, address, ret_text, INET6_ADDRSTRLEN);
    return !is_ipv4;
}

void report_victim_fill(struct report_victim *victim)
{
    struct in6_addr local;
    memcpy(&local, victim->entry->last->local, sizeof(local));
    (void)address_write(&local, victim->sinkhole);
    victim->is_ipv6 = address_write(&victim->address, victim->source);
}

const char *report_time(int64_t at_us, char ret_text[REPORT_TIME_SIZE])
{
    const time_t unix_s = (time_t)(at_us / 1000000);
    struct tm utc;
    gmtime_r(&unix_s, &utc);
    size_t size = strftime(ret_text, REPORT_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(ret_text + size, REPORT_TIME_SIZE - size, ".%03dZ", (int)(at_us / 1000 % 1000));
    return ret_text;
}

const char *report_transport(const struct sink_event *event)
{
    return event->transport == SINK_UDP ? "udp" : "tcp";
}

bool report_has_name(const struct sink_event *event)
{
    return event->name[0] != '\0' && event->name_source != SINK_NAME_NONE &&
           event->name_source != SINK_NAME_WINDOW;
}
