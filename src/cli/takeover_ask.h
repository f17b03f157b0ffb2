/* Questions about a delegation to one server: over UDP, over TCP where that does not do. */
#pragma once

#include <jansson.h>

#include "cli/prove_answer.h"
#include "cli/prove_exchange.h"

/* Asks and waits. The answer lives in the arena, which is not reset. */
_must_check_ int dns_ask(const struct exchange_address *server, const uint8_t *name, uint16_t type,
                         struct answer_arena *arena, struct answer *ret_answer,
                         struct error *ret_error);

/* The delegation of `name` as a server has it, be it the parent or the child:
 * {"ns": [names], "ttl": seconds, "glue": [{"name", "address"}], "glue_ttl": seconds,
 *  "ds": [rdata]}. Glue counts where it is at or below the name. Names end with a dot. */
_must_check_ int delegation_ask(const struct exchange_address *server, const uint8_t *name,
                                json_t **ret_delegation, struct error *ret_error);

/* Whether the zone has keys (DNSKEY) at this server. */
_must_check_ int zone_signed_ask(const struct exchange_address *server, const uint8_t *name,
                                 bool *ret_signed, struct error *ret_error);

/* Whether the server gives the zone away by AXFR: asks for it and looks at the first message. False
 * with the reason in `ret_error`. */
bool zone_transferable(const struct exchange_address *server, const uint8_t *name,
                       struct error *ret_error);

/* Whether both have the same name servers. */
bool delegation_same_servers(const json_t *one, const json_t *other);
