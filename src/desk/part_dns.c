/* The name server that takes the updates, as a part of the desk. */
#include "desk/desk.h"
#include "desk/dns_outbox.h"
#include "desk/dns_updater.h"
#include "desk/parts.h"

#define RETRY_FIRST_S 1
#define RETRY_MAX_S   60

static int dns_start(struct desk *desk, struct error *ret_error)
{
    const struct desk_config_server *server = NULL;
    for (size_t i = 0; i < desk->config->server_count && server == NULL; i++)
        if (desk->config->servers[i].update)
            server = &desk->config->servers[i];
    if (server == NULL)
        return 0;
    const struct dns_updater_options options = {
        .address = (const struct sockaddr *)&server->address.address,
        .address_size = server->address.size,
        .server_text = server->address.text,
        .key = server->key,
    };
    return dns_updater_start(&options, &desk->dns_updater, ret_error);
}

static void dns_stop(struct desk *desk)
{
    dns_updater_stop(desk->dns_updater);
    desk->dns_updater = NULL;
}

static void dns_metrics(struct desk *desk, FILE *stream)
{
    dns_updater_metrics_write(desk->dns_updater, stream);
}

/* Never given up: a blocked name has to go, whenever the server comes back. */
static const struct outbox_kind outbox_kinds[] = {
    {"dns", dns_outbox_deliver, RETRY_FIRST_S, RETRY_MAX_S, 0},
};

const struct desk_part part_dns = {
    .name = "dns",
    .outbox_kinds = outbox_kinds,
    .outbox_kind_count = sizeof(outbox_kinds) / sizeof(outbox_kinds[0]),
    .start = dns_start,
    .stop = dns_stop,
    .metrics = dns_metrics,
};
