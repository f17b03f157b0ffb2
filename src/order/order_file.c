/* From an order's file to an order: each key understood, each list read, the whole verified. */
#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file_text.h"
#include "base/yaml_load.h"
#include "dns/name.h"
#include "order/name_list.h"
#include "order/order.h"
#include "order/order_document.h"
#include "order/signature.h"
#include "order/timestamp.h"

#define ID_SIZE_MAX        63  /* a label of the policy zone's name */
#define AUTHORITY_SIZE_MAX 240 /* with its key it fits one character-string of a TXT record */
#define NOTICE_SIZE_MAX    128 /* with the id it fits VERDICT_TEXT_MAX */
#define TTL_DEFAULT_S      60
#define TTL_MAX_S          86400 /* a block that is cached longer outlives its lift by days */

/* Longer names-files pass what 32-bit offsets can address. */
#define NAMES_FILE_SIZE_MAX ((size_t)UINT32_MAX)

static_assert(ID_SIZE_MAX + 1 + NOTICE_SIZE_MAX <= VERDICT_TEXT_MAX, "EXTRA-TEXT holds both");

/* An order in the making. */
struct loading {
    const struct yaml_source *source;
    const struct order_document *document;
    struct order *order;
    struct error *error;
    bool listless, one_piece;
};

#define REFUSE(loading, place, ...)                                  \
    error_set_at((loading)->error, -EINVAL, (loading)->source->path, \
                 yaml_source_line((loading)->source, (place)), __VA_ARGS__)

static int out_of_memory(const struct loading *loading)
{
    return error_set_at(loading->error, -ENOMEM, loading->source->path, 0, "out of memory");
}

static int copy_text(const struct loading *loading, const char *text, char **ret_text)
{
    *ret_text = strdup(text);
    return *ret_text != NULL ? 0 : out_of_memory(loading);
}

static int load_id(struct loading *loading)
{
    const char *id = loading->document->id;
    size_t size = strlen(id);

    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)id[i]) && id[i] != '-')
            return REFUSE(loading, "id", "'id' may hold letters, digits and '-' only");
    if (size == 0 || size > ID_SIZE_MAX)
        return REFUSE(loading, "id", "'id' must have 1 to %d letters, digits or '-'", ID_SIZE_MAX);
    return copy_text(loading, id, &loading->order->id);
}

/* Control characters would forge lines of the canonical form. */
static int load_authority(struct loading *loading)
{
    const char *authority = loading->document->authority;
    size_t size = strlen(authority);

    if (size == 0 || size > AUTHORITY_SIZE_MAX)
        return REFUSE(loading, "authority", "'authority' must have 1 to %d octets",
                      AUTHORITY_SIZE_MAX);
    for (size_t i = 0; i < size; i++)
        if (iscntrl((unsigned char)authority[i]))
            return REFUSE(loading, "authority", "'authority' must be one line of text");
    return copy_text(loading, authority, &loading->order->authority);
}

static int load_notice(struct loading *loading)
{
    const char *notice = loading->document->notice;

    if (notice == NULL)
        return 0;
    size_t scheme = strncasecmp(notice, "https://", 8) == 0  ? 8
                    : strncasecmp(notice, "http://", 7) == 0 ? 7
                                                             : 0;
    size_t size = strlen(notice);
    if (scheme == 0 || size == scheme || notice[scheme] == '/')
        return REFUSE(loading, "notice", "'notice' must be an https:// or http:// URL");
    if (size > NOTICE_SIZE_MAX)
        return REFUSE(loading, "notice", "'notice' has %zu octets; %d at most fit a blocked answer",
                      size, NOTICE_SIZE_MAX);
    for (size_t i = 0; i < size; i++)
        if (notice[i] <= ' ' || notice[i] >= 0x7f)
            return REFUSE(loading, "notice",
                          "'notice' must be printable ASCII without blanks; "
                          "write other characters as %%XX");
    return copy_text(loading, notice, &loading->order->notice);
}

static int load_time(struct loading *loading, const char *key, const char *text, int64_t *ret_time)
{
    if (timestamp_parse(text, ret_time) < 0)
        return REFUSE(loading, key,
                      "'%s' is no time of RFC 3339; write it like 2014-06-30T12:00:00Z", key);
    return 0;
}

static int load_times(struct loading *loading)
{
    const struct order_document *document = loading->document;
    struct order *order = loading->order;

    if (document->ends == NULL)
        return error_set_at(loading->error, -EINVAL, loading->source->path, 0,
                            "an order without an end is refused; add 'ends: "
                            "YYYY-MM-DDThh:mm:ssZ'");
    int rc = load_time(loading, "starts", document->starts, &order->starts);
    if (rc == 0)
        rc = load_time(loading, "ends", document->ends, &order->ends);
    if (rc == 0 && order->ends <= order->starts)
        rc = REFUSE(loading, "ends",
                    "'ends' is not after 'starts'; an order lasts at least a "
                    "second");
    return rc;
}

/* Reads the addresses of one family into `octets`, `size` each. */
static int load_addresses(struct loading *loading, const char *key, int family, char *const *texts,
                          unsigned count, uint8_t *octets, size_t size, uint8_t *ret_count)
{
    char place[40];

    snprintf(place, sizeof(place), "sinkhole.%s", key);
    if (count > VERDICT_ADDRESSES_MAX)
        return REFUSE(loading, place, "'%s' has %u addresses; %d at most fit an answer", key, count,
                      VERDICT_ADDRESSES_MAX);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *address = octets + i * size;
        snprintf(place, sizeof(place), "sinkhole.%s.%u", key, i);
        if (inet_pton(family, texts[i], address) != 1)
            return REFUSE(loading, place, "'%.64s' is no %s address", texts[i],
                          family == AF_INET ? "IPv4" : "IPv6");
        for (unsigned j = 0; j < i; j++)
            if (memcmp(octets + j * size, address, size) == 0)
                return REFUSE(loading, place, "'%.64s' stands here twice; keep one", texts[i]);
    }
    *ret_count = (uint8_t)count;
    return 0;
}

/* The addresses count only where the action uses them; they are checked in any case. */
static int load_sinkhole(struct loading *loading)
{
    const struct document_sinkhole *sinkhole = loading->document->sinkhole;
    struct verdict *verdict = &loading->order->verdict;
    bool needed = loading->document->action == VERDICT_SINKHOLE;

    if (sinkhole != NULL) {
        int rc = load_addresses(loading, "a", AF_INET, sinkhole->a, sinkhole->a_count,
                                verdict->a[0], sizeof(verdict->a[0]), &verdict->a_count);
        if (rc == 0)
            rc = load_addresses(loading, "aaaa", AF_INET6, sinkhole->aaaa, sinkhole->aaaa_count,
                                verdict->aaaa[0], sizeof(verdict->aaaa[0]), &verdict->aaaa_count);
        if (rc < 0)
            return rc;
    }
    if (needed && verdict->a_count + verdict->aaaa_count == 0)
        return REFUSE(loading, sinkhole != NULL ? "sinkhole" : "action",
                      "'action: sinkhole' needs an address; add 'sinkhole: { a: [...] }'");
    if (!needed)
        verdict->a_count = verdict->aaaa_count = 0;

    verdict->ttl_s = sinkhole != NULL && sinkhole->ttl != NULL ? *sinkhole->ttl : TTL_DEFAULT_S;
    if (verdict->ttl_s > TTL_MAX_S)
        return REFUSE(loading, "sinkhole.ttl",
                      "'ttl' is over %d seconds; resolvers would keep the "
                      "block after it is lifted",
                      TTL_MAX_S);
    return 0;
}

static int load_share(struct loading *loading, const char *place, const double *share,
                      double *ret_share)
{
    *ret_share = 1;
    if (share == NULL)
        return 0;
    if (!(*share >= 0 && *share <= 1))
        return REFUSE(loading, place, "'%s' is a share; write a number from 0 to 1",
                      strchr(place, '.') + 1);
    *ret_share = *share;
    return 0;
}

static int load_budget(struct loading *loading)
{
    static const struct document_budget unbounded = {0};
    const struct document_budget *budget =
        loading->document->budget != NULL ? loading->document->budget : &unbounded;
    struct order_budget *loaded = &loading->order->budget;

    loaded->live_max = budget->live != NULL ? *budget->live : UINT64_MAX;
    loaded->shared_max = budget->shared != NULL ? *budget->shared : UINT64_MAX;
    loaded->cuts_max = budget->cuts != NULL ? *budget->cuts : UINT64_MAX;
    int rc =
        load_share(loading, "budget.query-share", budget->query_share, &loaded->query_share_max);
    if (rc == 0)
        rc = load_share(loading, "budget.client-share", budget->client_share,
                        &loaded->client_share_max);
    return rc;
}

/* A point of small order would be a key that anybody opens; libsodium refuses to seal to it. */
static bool can_be_sealed_to(const uint8_t *public_key)
{
    unsigned char sealed[crypto_box_SEALBYTES];

    return crypto_box_seal(sealed, (const unsigned char *)"", 0, public_key) == 0;
}

/* `content: false` says what an order without the clause says. */
static int load_evidence(struct loading *loading)
{
    const struct document_evidence *evidence = loading->document->evidence;
    struct order_evidence *loaded = &loading->order->evidence;

    if (evidence == NULL)
        return 0;
    if (evidence->content && evidence->seal_to == NULL)
        return REFUSE(loading, "evidence",
                      "content is kept sealed or not at all; add 'seal-to', the base64 of an "
                      "X25519 public key");
    if (evidence->seal_to != NULL &&
        (!base64_decode_exactly(evidence->seal_to, loaded->seal_to, sizeof(loaded->seal_to)) ||
         !can_be_sealed_to(loaded->seal_to)))
        return REFUSE(loading, "evidence.seal-to",
                      "'seal-to' is not the base64 of an X25519 public key, which has %zu octets",
                      sizeof(loaded->seal_to));
    loaded->content = evidence->content;
    return 0;
}

static int load_signature(struct loading *loading, unsigned index)
{
    const struct document_signature *written = &loading->document->signatures[index];
    struct order *order = loading->order;
    struct order_signature *signature = &order->signatures[index];
    char place[32];

    snprintf(place, sizeof(place), "signatures.%u", index);
    signature->line = yaml_source_line(loading->source, place);
    if (!signer_name_valid(written->key))
        return REFUSE(loading, place, "'%.64s' cannot name a signer", written->key);
    if (!base64_decode_exactly(written->value, signature->value, sizeof(signature->value)))
        return REFUSE(loading, place,
                      "the signature by '%s' is not the base64 of %zu octets; sign again",
                      written->key, sizeof(signature->value));
    for (unsigned i = 0; i < index; i++)
        if (strcmp(order->signatures[i].key, written->key) == 0)
            return REFUSE(loading, place, "'%s' signed twice; keep one", written->key);
    int rc = copy_text(loading, written->key, &signature->key);
    if (rc == 0)
        order->signature_count++;
    return rc;
}

/* More signers than an order can have; bounds the work of a hostile file. */
#define SIGNATURES_MAX 64

static int load_signatures(struct loading *loading)
{
    unsigned count = loading->document->signatures_count;

    if (count > SIGNATURES_MAX)
        return REFUSE(loading, "signatures", "has %u signatures; %d at most", count,
                      SIGNATURES_MAX);
    loading->order->signatures = calloc(count + 1u, sizeof(struct order_signature));
    if (loading->order->signatures == NULL)
        return out_of_memory(loading);
    for (unsigned i = 0; i < count; i++) {
        int rc = load_signature(loading, i);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* What a list's failure means; findings are no failures. */
static int list_failed(const struct loading *loading, const char *path, int rc)
{
    if (rc == -E2BIG)
        return error_set_at(loading->error, rc, path, 0,
                            "has more names than one order can list; split it into two orders");
    return error_set_at(loading->error, rc, path, 0, "out of memory");
}

static int add_inline(struct loading *loading, struct name_list *list, const char *key,
                      char *const *texts, unsigned count)
{
    uint32_t *lines = NULL;
    size_t line_count = 0;

    assert(count == 0 || texts != NULL);
    int rc = count > 0 ? yaml_source_lines(loading->source, key, &lines, &line_count) : 0;
    for (unsigned i = 0; rc == 0 && i < count; i++)
        rc = name_list_add(list, texts[i], strlen(texts[i]),
                           (i < line_count ? lines[i] : 0) | ORDER_LINE_INLINE);
    free(lines);
    return rc < 0 ? list_failed(loading, loading->source->path, rc) : 0;
}

static int load_list(struct loading *loading, const char *key, char *const *texts, unsigned count,
                     struct order_names *ret_names)
{
    _cleanup_(name_list_freep) struct name_list *list = NULL;

    int rc = name_list_create(loading->order, &list);
    if (rc < 0)
        return out_of_memory(loading);
    rc = add_inline(loading, list, key, texts, count);
    if (rc < 0)
        return rc;
    rc = name_list_finish(list, ret_names);
    return rc < 0 ? list_failed(loading, loading->source->path, rc) : 0;
}

/* A relative path is relative to the order's folder. */
static int resolve_names_path(struct loading *loading)
{
    const char *file = loading->document->names_file;
    const char *slash = strrchr(loading->source->path, '/');
    char path[PATH_MAX];

    int folder = file[0] == '/' || slash == NULL ? 0 : (int)(slash + 1 - loading->source->path);
    int size = snprintf(path, sizeof(path), "%.*s%s", folder, loading->source->path, file);
    if (file[0] == '\0' || size >= (int)sizeof(path))
        return REFUSE(loading, "names-file", "'names-file' is no path");
    return copy_text(loading, path, &loading->order->names_path);
}

static int add_names_file(struct loading *loading, struct name_list *list)
{
    struct file_text text;

    int rc = resolve_names_path(loading);
    if (rc < 0)
        return rc;
    const char *path = loading->order->names_path;
    rc = file_text_read(path, NAMES_FILE_SIZE_MAX, &text, loading->error);
    if (rc < 0)
        return rc;
    rc = name_list_add_lines(list, text.octets, text.size);
    file_text_clear(&text);
    return rc < 0 ? list_failed(loading, path, rc) : 0;
}

static int load_names(struct loading *loading)
{
    _cleanup_(name_list_freep) struct name_list *list = NULL;
    const struct order_document *document = loading->document;
    struct order *order = loading->order;

    int rc = name_list_create(order, &list);
    if (rc < 0)
        return out_of_memory(loading);
    rc = add_inline(loading, list, "names", document->names, document->names_count);
    if (rc == 0 && document->names_file != NULL)
        rc = add_names_file(loading, list);
    if (rc < 0)
        return rc;
    rc = name_list_finish(list, &order->names);
    if (rc < 0)
        return list_failed(loading, loading->source->path, rc);
    return 0;
}

static int load_lists(struct loading *loading)
{
    const struct order_document *document = loading->document;
    struct order *order = loading->order;

    if (loading->listless)
        return 0;
    if (loading->one_piece && document->names_file != NULL)
        return REFUSE(loading, "names-file",
                      "'names-file' is no part of the document: list its names under 'names'");
    if (document->names == NULL && document->names_file == NULL && document->subtrees == NULL)
        return error_set_at(loading->error, -EINVAL, loading->source->path, 0,
                            "lists nothing; add 'names-file', 'names' or 'subtrees'");
    int rc = load_names(loading);
    if (rc == 0)
        rc = load_list(loading, "subtrees", document->subtrees, document->subtrees_count,
                       &order->subtrees);
    if (rc == 0)
        rc = load_list(loading, "exempt", document->exempt, document->exempt_count, &order->exempt);
    if (rc == 0 && order->names.count + order->subtrees.count == 0)
        order_add_finding(order, order->names_path != NULL ? order->names_path : order->path, 0, "",
                          0, "no name is left to list", NULL);
    return rc;
}

void order_make_verdict(struct order *order)
{
    struct verdict *verdict = &order->verdict;

    verdict->action = order->action;
    verdict->ede_code = order->kind == ORDER_COURT ? 16 : 15; /* RFC 8914, 4.17 and 4.16 */
    verdict->starts = order->starts;
    verdict->ends = order->ends;
    char text[VERDICT_TEXT_MAX + 1];
    int size = snprintf(text, sizeof(text), "%s%s%s", order->id, order->notice != NULL ? " " : "",
                        order->notice != NULL ? order->notice : "");
    verdict->text_size = (uint16_t)size;
    memcpy(verdict->text, text, verdict->text_size);
}

static int load_document(struct loading *loading)
{
    static int (*const steps[])(struct loading *) = {
        load_id,     load_authority, load_notice,     load_times, load_sinkhole,
        load_budget, load_evidence,  load_signatures, load_lists,
    };
    struct order *order = loading->order;

    order->kind = loading->document->kind;
    order->action = loading->document->action;
    int rc = copy_text(loading, loading->source->path, &order->path);
    for (size_t i = 0; rc == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
        rc = steps[i](loading);
    if (rc == 0)
        order_make_verdict(order);
    return rc;
}

static int compare_findings(const void *one, const void *other)
{
    const struct order_finding *left = one, *right = other;

    if (left->file != right->file)
        return strcmp(left->file, right->file);
    return left->line < right->line ? -1 : left->line > right->line;
}

static int refuse_findings(const struct order *order, struct error *ret_error)
{
    const struct order_finding *first = &order->findings[0];
    char text[400];

    if (order->finding_total == 0)
        return 0;
    if (order->finding_count == 0)
        return error_set_at(ret_error, -EINVAL, order->path, 0, "%llu findings refuse the order",
                            (unsigned long long)order->finding_total);
    return error_set_at(ret_error, -EINVAL, first->file, first->line,
                        "%s (%llu findings; any refuses the order, since it is loaded strictly)",
                        order_finding_format(first, text, sizeof(text)),
                        (unsigned long long)order->finding_total);
}

static int load_source(const struct yaml_source *source, const struct order_policy *policy,
                       struct order **ret_order, struct error *ret_error)
{
    _cleanup_(order_freep) struct order *order = NULL;
    struct order_document *document = NULL;

    int rc = yaml_source_load(source, &order_document_schema, (void **)&document, NULL, ret_error);
    if (rc < 0)
        return rc;
    order = calloc(1, sizeof(*order));
    struct loading loading = {
        .source = source,
        .document = document,
        .order = order,
        .error = ret_error,
        .listless = policy->listless,
        .one_piece = policy->one_piece,
    };
    rc = order != NULL ? load_document(&loading) : out_of_memory(&loading);
    yaml_value_free(&order_document_schema, document, 0);
    if (rc == 0)
        rc = signature_check(order, policy, ret_error);
    if (rc < 0)
        return rc;
    assert(order != NULL);
    if (order->finding_count > 1)
        qsort(order->findings, order->finding_count, sizeof(order->findings[0]), compare_findings);
    rc = policy->strict ? refuse_findings(order, ret_error) : 0;
    if (rc < 0)
        return rc;
    *ret_order = TAKE(order);
    return 0;
}

int order_load(const char *path, const struct order_policy *policy, struct order **ret_order,
               struct error *ret_error)
{
    _cleanup_(yaml_source_freep) struct yaml_source *source = NULL;

    int rc = yaml_source_read(path, &source, ret_error);
    if (rc < 0)
        return rc;
    return load_source(source, policy, ret_order, ret_error);
}

int order_load_text(const char *path, const void *text, size_t size,
                    const struct order_policy *policy, struct order **ret_order,
                    struct error *ret_error)
{
    _cleanup_(yaml_source_freep) struct yaml_source *source = NULL;

    int rc = yaml_source_create(path, text, size, &source, ret_error);
    if (rc < 0)
        return rc;
    return load_source(source, policy, ret_order, ret_error);
}

void order_free(struct order *order)
{
    if (order == NULL)
        return;
    free(order->id);
    free(order->authority);
    free(order->notice);
    free(order->path);
    free(order->names_path);
    order_names_clear(&order->names);
    order_names_clear(&order->subtrees);
    order_names_clear(&order->exempt);
    for (size_t i = 0; i < order->signature_count; i++)
        free(order->signatures[i].key);
    free(order->signatures);
    for (size_t i = 0; i < order->finding_count; i++) {
        free(order->findings[i].entry);
        free(order->findings[i].detail);
    }
    free(order->findings);
    free(order);
}
