#include "cli/prove_compare.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *summary;
} differences[DIFFERENCES] = {
    [DIFFERENCE_FRONT_SILENT] = {"front-silent", "the front gave no answer"},
    [DIFFERENCE_FRONT_MALFORMED] = {"front-malformed", "the front's answer cannot be read"},
    [DIFFERENCE_LISTED_NOT_BLOCKED] = {"listed-not-blocked", "a listed name is not blocked"},
    [DIFFERENCE_LISTED_WRONG] = {"listed-wrong", "a listed name is not blocked as ordered"},
    [DIFFERENCE_LISTED_NO_REASON] = {"listed-no-reason", "a blocked answer names no order"},
    [DIFFERENCE_UNLISTED_BLOCKED] = {"unlisted-blocked", "an unlisted name is blocked"},
    [DIFFERENCE_RCODE] = {"rcode", "another response code"},
    [DIFFERENCE_FLAGS] = {"flags", "other header flags"},
    [DIFFERENCE_QUESTION] = {"question", "the question is not echoed as asked"},
    [DIFFERENCE_MISSING] = {"missing", "records that only the origin has"},
    [DIFFERENCE_EXTRA] = {"extra", "records that only the front has"},
    [DIFFERENCE_RDATA] = {"rdata", "other data in the same record set"},
    [DIFFERENCE_TTL] = {"ttl", "another TTL"},
    [DIFFERENCE_EDE] = {"ede", "an extended error of the front's own"},
    [DIFFERENCE_ORIGIN_SILENT] = {"origin-silent", "the origin gave no answer"},
    [DIFFERENCE_ORIGIN_MALFORMED] = {"origin-malformed", "the origin's answer cannot be read"},
};
static_assert(DIFFERENCES <= 32, "kinds are bits of a uint32_t");

const char *difference_name(enum difference difference)
{
    return differences[difference].name;
}

const char *difference_summary(enum difference difference)
{
    return differences[difference].summary;
}

bool difference_parse(const char *name, enum difference *ret_difference)
{
    for (enum difference i = 0; i < DIFFERENCES; i++)
        if (strcmp(differences[i].name, name) == 0) {
            *ret_difference = i;
            return true;
        }
    return false;
}

void comparison_note(struct comparison *comparison, enum difference kind, const char *format, ...)
{
    /* Kinds are declared with those first that say most. */
    if (comparison->kinds == 0 || kind < comparison->kind)
        comparison->kind = kind;
    comparison->kinds |= DIFFERENCE_BIT(kind);
    comparison->result = comparison->kind >= DIFFERENCE_ORIGIN_SILENT ? COMPARISON_NOT_COMPARABLE
                                                                      : COMPARISON_DIFFERENT;

    size_t used = strlen(comparison->detail);
    if (used + 2 >= sizeof(comparison->detail))
        return;
    if (used > 0) {
        memcpy(comparison->detail + used, "; ", 3);
        used += 2;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(comparison->detail + used, sizeof(comparison->detail) - used, format, arguments);
    va_end(arguments);
}

const char *compare_rcode_text(uint16_t rcode, char text[static 16])
{
    const knot_lookup_t *found = knot_lookup_by_id(knot_rcode_names, rcode);
    if (found != NULL)
        return found->name;
    snprintf(text, 16, "RCODE %u", rcode);
    return text;
}

static const char *flags_text(uint16_t flags, char text[static 64])
{
    static const struct {
        uint16_t bit;
        const char *name;
    } names[] = {{0x8000, " QR"}, {0x0400, " AA"}, {0x0200, " TC"}, {0x0100, " RD"},
                 {0x0080, " RA"}, {0x0040, " Z"},  {0x0020, " AD"}, {0x0010, " CD"}};
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (flags & names[i].bit)
            used += (size_t)snprintf(text + used, 64 - used, "%s", names[i].name);
    if (flags & 0x7800)
        snprintf(text + used, 64 - used, " opcode %u", (unsigned)flags >> 11 & 0xf);
    return text[0] == ' ' ? text + 1 : "none";
}

void compare_header(const struct answer *front, const struct answer *origin, uint16_t flags_mask,
                    struct comparison *ret)
{
    if ((front->flags & flags_mask) != (origin->flags & flags_mask)) {
        char ours[64], theirs[64];
        comparison_note(ret, DIFFERENCE_FLAGS, "flags %s instead of %s",
                        flags_text(front->flags, ours), flags_text(origin->flags, theirs));
    }
    if (front->question_size != origin->question_size ||
        (front->question_size > 0 &&
         memcmp(front->question, origin->question, front->question_size) != 0))
        comparison_note(ret, DIFFERENCE_QUESTION, "the question comes back in another form");
}

/* Whether a section holds other records of the same owner and type. */
static bool records_hold_set(const struct answer_records *section, const knot_rrset_t *record)
{
    for (size_t i = 0; i < section->count; i++)
        if (section->records[i]->type == record->type &&
            section->records[i]->rclass == record->rclass &&
            knot_dname_is_equal(section->records[i]->owner, record->owner))
            return true;
    return false;
}

static void note_record(struct comparison *ret, enum difference kind, const char *section,
                        const char *what, const knot_rrset_t *record)
{
    char text[400];
    answer_record_print(record, text, sizeof(text));
    comparison_note(ret, kind, "%s: %s %s", section, what, text);
}

static void note_missing(struct comparison *ret, const char *section,
                         const struct answer_records *front, const knot_rrset_t *record)
{
    bool other_data = records_hold_set(front, record);
    note_record(ret, other_data ? DIFFERENCE_RDATA : DIFFERENCE_MISSING, section, "the front lacks",
                record);
}

static void note_extra(struct comparison *ret, const char *section,
                       const struct answer_records *origin, const knot_rrset_t *record)
{
    bool other_data = records_hold_set(origin, record);
    note_record(ret, other_data ? DIFFERENCE_RDATA : DIFFERENCE_EXTRA, section,
                "only the front has", record);
}

static void compare_ttl(const struct compare_rules *rules, const char *section,
                        const knot_rrset_t *front, const knot_rrset_t *origin,
                        struct comparison *ret)
{
    if (rules->ttl == TTL_IGNORE || front->ttl == origin->ttl ||
        (rules->ttl == TTL_DECREMENTED && front->ttl < origin->ttl))
        return;
    char text[400];
    answer_record_print(origin, text, sizeof(text));
    comparison_note(ret, DIFFERENCE_TTL, "%s: TTL %u s instead of %s", section, front->ttl, text);
}

void compare_records(const struct compare_rules *rules, const char *section,
                     const struct answer_records *front, const struct answer_records *origin,
                     compare_excuse_fn *excuse, struct comparison *ret)
{
    size_t f = 0, o = 0;
    while (f < front->count || o < origin->count) {
        int order = f == front->count ? 1
                    : o == origin->count
                        ? -1
                        : answer_record_compare(front->records[f], origin->records[o]);
        if (order == 0) {
            compare_ttl(rules, section, front->records[f++], origin->records[o++], ret);
        } else if (order < 0) {
            note_extra(ret, section, origin, front->records[f++]);
        } else {
            const knot_rrset_t *record = origin->records[o++];
            if (excuse != NULL && excuse(rules, record))
                ret->addresses_left_out++;
            else
                note_missing(ret, section, front, record);
        }
    }
}

/* The front gives no addresses of a listed name away as additional data. */
static bool excuse_listed_address(const struct compare_rules *rules, const knot_rrset_t *record)
{
    return (record->type == KNOT_RRTYPE_A || record->type == KNOT_RRTYPE_AAAA ||
            record->type == KNOT_RRTYPE_RRSIG) &&
           listing_find(rules->listing, record->owner) != NULL;
}

/* The same address from both is worse than a difference: the listed name is reached after all. */
static void compare_leaks(const struct compare_rules *rules, const struct answer *front,
                          struct comparison *ret)
{
    const struct answer_records *additional = &front->sections[ANSWER_SECTION_ADDITIONAL];
    for (size_t i = 0; i < additional->count; i++) {
        const knot_rrset_t *record = additional->records[i];
        if ((record->type == KNOT_RRTYPE_A || record->type == KNOT_RRTYPE_AAAA) &&
            listing_find(rules->listing, record->owner) != NULL)
            note_record(ret, DIFFERENCE_LISTED_NOT_BLOCKED, "additional",
                        "an address of a listed name,", record);
    }
}

static bool ede_holds(const struct answer *answer, uint16_t code)
{
    for (size_t i = 0; i < answer->ede_count; i++)
        if (answer->ede[i].code == code)
            return true;
    return false;
}

/* Codes that say "withheld on purpose" (RFC 8914): Blocked, Censored, Filtered. */
static bool ede_blocks(uint16_t code)
{
    return code >= 15 && code <= 17;
}

static void compare_ede(const struct answer *front, const struct answer *origin,
                        struct comparison *ret)
{
    for (size_t i = 0; i < front->ede_count; i++) {
        const struct answer_ede *ede = &front->ede[i];
        if (ede_holds(origin, ede->code))
            continue;
        /* The text is the server's; only what prints goes into a report. */
        char text[VERDICT_TEXT_MAX + 1];
        size_t size = 0;
        for (; size < ede->text_size && size < VERDICT_TEXT_MAX; size++)
            text[size] =
                ede->text[size] >= ' ' && ede->text[size] < 127 ? (char)ede->text[size] : '?';
        text[size] = '\0';
        comparison_note(ret, ede_blocks(ede->code) ? DIFFERENCE_UNLISTED_BLOCKED : DIFFERENCE_EDE,
                        "extended error %u \"%s\"", ede->code, text);
    }
}

void compare_answers(const struct compare_rules *rules, const struct answer *front,
                     const struct answer *origin, struct comparison *ret)
{
    if (front->rcode != origin->rcode) {
        char ours[16], theirs[16];
        comparison_note(ret, DIFFERENCE_RCODE, "%s instead of %s",
                        compare_rcode_text(front->rcode, ours),
                        compare_rcode_text(origin->rcode, theirs));
    }
    compare_header(front, origin, 0xffff, ret);
    compare_ede(front, origin, ret);

    static const char *const names[] = {"answer", "authority", "additional"};
    for (enum answer_section section = 0; section < ANSWER_SECTIONS; section++)
        compare_records(rules, names[section], &front->sections[section],
                        &origin->sections[section],
                        section == ANSWER_SECTION_ADDITIONAL ? excuse_listed_address : NULL, ret);
    compare_leaks(rules, front, ret);
}
