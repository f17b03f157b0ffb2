/* njRAT, alias Bladabindi: 0.3 to 0.7d and what was made of it (Green, Lime, Golden, Platinum,
 * Danger, 0.11G, im523).
 *
 * A message is `<decimal length>NUL<command><separator><field>...`; versions before 0.7 have no
 * length and end a message in "[endof]". The separator is whatever text its builder chose, so it is
 * inferred: of a check-in it is that text after the command which splits the rest into fields that
 * look like an id in base64, a date, a Windows, a camera's Yes or No.
 *
 *   ll  id (base64 of campaign, "_", volume serial number), host, user, date of installation,
 *       country or empty, system, camera, version, ping (".."), active window (base64), ""
 *   lv, llv, lvv   the same in other versions; li: host and user in base64, too
 *
 * Sources: "njRAT Uncovered" (Fidelis Threat Advisory 1009); "Schroedinger's RAT" (USENIX Security
 * 2018); "Just another analysis of the njRAT malware" (cybergeeks.tech); the njRAT packet parser of
 * NetworkMiner and "Decoding njRAT traffic with NetworkMiner" (Netresec), which lists commands and
 * separators; the rules for Bladabindi of Emerging Threats Open.
 */
#include "sink/checkin_fields.h"

/* The longest separator known has 12 octets. */
#define SEPARATOR_SIZE_MAX 32

#define FIELDS_MAX   24
#define MESSAGES_MAX 16

/* More digits than any length of a message that is read here. */
#define LENGTH_DIGITS_MAX 8

struct frame {
    struct sink_text payload; /* without "[endof]" */
    size_t next;              /* where the next message begins */
    bool prefixed;            /* by a length */
    bool strict;              /* by a length and NUL */
    bool cut;                 /* not as much came as the length says */
    bool ended;               /* by "[endof]" */
};

/* A length is followed by NUL; tools that replay what a log shows write it as "." or "\x00", or
 * lose it. Returns the size of what stands for it, 0 when nothing does. */
static bool read_length_end(struct sink_text rest, size_t *ret_size, bool *ret_strict)
{
    *ret_strict = rest.size > 0 && rest.octets[0] == '\0';
    if (*ret_strict || text_begins(rest, text_word(".")))
        *ret_size = 1;
    else if (text_begins(rest, text_word("\\x00")))
        *ret_size = 4;
    else
        *ret_size = 0;
    return *ret_size > 0 || (rest.size > 0 && is_letter(rest.octets[0]));
}

static bool read_frame(struct sink_text flight, size_t at, struct frame *ret_frame)
{
    struct sink_text rest = text_after(flight, at);
    struct frame frame = {.payload = rest, .next = flight.size};
    size_t digits = 0, length = 0, end = 0;
    while (digits < rest.size && digits < LENGTH_DIGITS_MAX && is_digit(rest.octets[digits]))
        length = length * 10 + (size_t)(rest.octets[digits++] - '0');

    if (digits > 0 && read_length_end(text_after(rest, digits), &end, &frame.strict)) {
        frame.prefixed = true;
        frame.payload = text_after(rest, digits + end);
        frame.cut = length > frame.payload.size;
        if (!frame.cut) {
            frame.payload.size = length;
            frame.next = at + digits + end + length;
        }
    } else if (digits > 0) {
        return false;
    } else {
        struct sink_text mark = text_word("[endof]");
        size_t size = text_find(rest, mark);
        frame.ended = size < rest.size;
        frame.payload.size = size;
        if (frame.ended)
            frame.next = at + size + mark.size;
    }
    if (frame.prefixed && text_ends(frame.payload, "[endof]"))
        frame.payload.size -= strlen("[endof]");
    *ret_frame = frame;
    return true;
}

struct checkin {
    struct sink_text fields[FIELDS_MAX];
    size_t count;
    size_t date, system, camera, ping; /* which field; `count` where there is none */
    bool coded_names;                  /* host and user in base64 */
};

static bool is_ping(struct sink_text field)
{
    return text_is(field, "..") ||
           (field.size > 2 && is_digit(field.octets[0]) && text_ends(field, "ms"));
}

static bool is_system(struct sink_text field)
{
    bool nameless = text_begins(field, text_word("SP")) && field.size > 2 &&
                    is_digit(field.octets[2]); /* builds that leave the name out */
    return (checkin_is_system(field) && !text_begins_as(field, "win_")) || nameless ||
           text_begins(field, text_word("??SP"));
}

/* "unknown" is what old versions write where the file's date can't be read. */
static bool is_installed(struct sink_text field)
{
    return checkin_is_date(field) || text_is(field, "unknown");
}

static size_t find_field(const struct checkin *checkin, size_t from, size_t to,
                         bool (*fits)(struct sink_text))
{
    for (size_t i = from; i < to && i < checkin->count; i++) {
        if (fits(checkin->fields[i]))
            return i;
    }
    return checkin->count;
}

/* Decodes the id; mods that leave it as it is still end it in the serial number. */
static bool read_id(struct sink_text field, struct checkin_scratch *scratch,
                    struct sink_text *ret_id, bool *ret_coded)
{
    size_t used = scratch->used;
    *ret_coded = checkin_decode(scratch, field, ret_id) && checkin_is_text(*ret_id);
    if (*ret_coded)
        return true;
    scratch->used = used;
    *ret_id = field;
    return checkin_ends_in_serial(field) && checkin_is_text(field);
}

/* An id that is neither base64 nor ends in a serial number, as changed agents write it. */
static bool may_be_id(struct sink_text field)
{
    return field.size >= 3 && checkin_is_text(field);
}

/* Whether the fields are those of a check-in. Of one that was cut, the id must be whole and what
 * else came must fit. */
static bool is_checkin(struct checkin *checkin, bool cut)
{
    struct sink_text id;
    bool coded;
    struct sink_recognition decoded;
    struct checkin_scratch scratch = {&decoded, 0};
    bool has_id = read_id(checkin->fields[0], &scratch, &id, &coded);

    size_t count = checkin->count;
    checkin->date = find_field(checkin, 1, 6, is_installed);
    size_t system_from = checkin->date < count ? checkin->date + 1 : 3;
    checkin->system = find_field(checkin, system_from, 10, is_system);
    size_t camera_from = checkin->system < count ? checkin->system + 1 : 5;
    checkin->camera = find_field(checkin, camera_from, 12, checkin_is_yes_or_no);
    checkin->ping = find_field(checkin, camera_from, 16, is_ping);

    unsigned anchors = (checkin->date < count ? 1U : 0) + (checkin->system < count ? 1U : 0) +
                       (checkin->camera < count ? 1U : 0) + (checkin->ping < count ? 1U : 0);
    if (count >= 6 && anchors >= 2 &&
        (has_id ? anchors + (coded ? 1 : 0) >= 3 : may_be_id(checkin->fields[0]) && anchors >= 3))
        return true;
    if (!cut || !coded || !checkin_ends_in_serial(id) || count < 2)
        return false;
    return count <= 4 || anchors >= (count > 6 ? 2 : 1);
}

/* Where more than one separator fits the longest is the right one: in "|test|" the "|" alone leaves
 * "test" between the fields, and that is base64, too. */
static bool split_checkin(struct sink_text rest, bool cut, struct checkin *checkin)
{
    size_t found = 0;
    for (size_t size = 1; size <= SEPARATOR_SIZE_MAX && 2 * size < rest.size; size++) {
        struct sink_text separator = text_first(rest, size), after = text_after(rest, size);
        if (text_find(after, separator) == after.size)
            break; /* nor is a longer one there a second time */
        checkin->count = checkin_split(after, separator, checkin->fields, FIELDS_MAX);
        if (is_checkin(checkin, cut))
            found = size;
    }
    struct sink_text separator = text_first(rest, found);
    if (found == 0 || text_has(separator, "njxq80")) /* that is njw0rm's */
        return false;
    checkin->count = checkin_split(text_after(rest, found), separator, checkin->fields, FIELDS_MAX);
    return is_checkin(checkin, cut);
}

static bool read_checkin(struct sink_text payload, bool cut, struct checkin *ret_checkin)
{
    static const char *const names[] = {"llv", "lvv", "ll", "lv", "li"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct sink_text command = text_word(names[i]);
        ret_checkin->coded_names = strcmp(names[i], "li") == 0;
        if (text_begins(payload, command) &&
            split_checkin(text_after(payload, command.size), cut, ret_checkin))
            return true;
    }
    return false;
}

static struct sink_text field_or_none(const struct checkin *checkin, size_t index)
{
    return index < checkin->count ? checkin->fields[index] : text_word("");
}

/* Host and user stand before the date, where mods may have put more. */
static void describe_names(const struct checkin *checkin, struct checkin_scratch *scratch)
{
    struct sink_recognition *recognition = scratch->recognition;
    size_t user = checkin->date < checkin->count && checkin->date >= 3 ? checkin->date - 1 : 2;
    recognition->machine = field_or_none(checkin, user - 1);
    recognition->user = field_or_none(checkin, user);
    if (checkin->coded_names) {
        checkin_decode(scratch, recognition->machine, &recognition->machine);
        checkin_decode(scratch, recognition->user, &recognition->user);
    }
}

static void describe_checkin(const struct checkin *checkin, struct sink_recognition *recognition)
{
    struct checkin_scratch scratch = {recognition, 0};
    size_t count = checkin->count;
    bool id_coded;
    recognition->kind = SINK_CHECKIN;
    if (!read_id(checkin->fields[0], &scratch, &recognition->bot, &id_coded))
        recognition->bot = checkin->fields[0];
    describe_names(checkin, &scratch);
    recognition->installed = field_or_none(checkin, checkin->date);
    recognition->system = field_or_none(checkin, checkin->system);
    if (checkin->date + 2 == checkin->system)
        recognition->country = checkin->fields[checkin->date + 1];
    if (checkin->camera < count)
        checkin_version(recognition, field_or_none(checkin, checkin->camera + 1));

    struct sink_text window =
        checkin->ping < count ? field_or_none(checkin, checkin->ping + 1) : text_word("");
    bool window_coded = checkin_is_base64(window);
    if (window_coded)
        checkin_decode(&scratch, window, &recognition->window);

    recognition->wellformed = id_coded && window_coded && checkin->ping + 1 < count;
    recognition->consistent =
        checkin_ends_in_serial(recognition->bot) && checkin_host_plausible(recognition->machine) &&
        checkin_user_plausible(recognition->user) &&
        checkin_date_plausible(recognition->installed) &&
        checkin_country_plausible(recognition->country) &&
        checkin_system_plausible(recognition->system) && checkin->camera < count;
}

/* What an agent sends besides check-ins. Longer ones come before those that they begin with. */
static const char *const commands[] = {
    "PING", "infn", "info", "inf", "act", "kla", "kl",  "CAP", "CAM", "CH",   "ER",    "Ex",
    "FM",   "fun",  "get",  "INS", "inv", "MIC", "MSG", "PLG", "pl",  "P",    "post+", "post",
    "proc", "prof", "ret",  "RG",  "rn",  "rss", "rsc", "rs",  "sc~", "scPK", "site",  "srv",
    "STP",  "tcp",  "un",   "up",  "WT",  "bla", "llv", "lvv", "ll",  "lv",   "li",
};

/* Where nothing but the separator tells a message, it must be a known one. */
static const char *const separators[] = {
    "|'|'|", "'|'|'|",       "|Hassan|", "|NYAN|",   "|Ghost|",  "|-F-|", "|Kiler|",
    "|U|",   "Y262SUCZ4UJJ", "@!#&^%$",  "[VdTeam]", "boolLove", "<->",
};

static bool begins_with_separator(struct sink_text rest)
{
    for (size_t i = 0; i < sizeof(separators) / sizeof(separators[0]); i++) {
        if (text_begins(rest, text_word(separators[i])))
            return true;
    }
    return false;
}

static bool is_punctuation(uint8_t octet)
{
    return octet > ' ' && octet < 0x7f && !is_letter(octet) && !is_digit(octet);
}

/* Whether a separator of any text may stand here: printable, and none that a word goes on with; or
 * followed by a picture, or by enough base64 that decodes to text. */
static bool may_be_separated(struct sink_text rest)
{
    if (is_punctuation(rest.octets[0]))
        return true;
    for (size_t size = 1; size <= SEPARATOR_SIZE_MAX && size < rest.size; size++) {
        struct sink_text after = text_after(rest, size), decoded;
        if (text_begins(after, text_word("\xff\xd8\xff")))
            return true;
        struct sink_recognition room;
        struct checkin_scratch scratch = {&room, 0};
        if (after.size >= 12 && checkin_decode(&scratch, after, &decoded) &&
            checkin_is_text(decoded))
            return true;
    }
    return false;
}

/* What an old version's message without its end looks like: base64, or the first of it. */
static bool is_code_of_old(struct sink_text rest)
{
    struct sink_text separator = text_word(separators[0]);
    if (!text_begins(rest, separator))
        return false;
    struct sink_text code = text_after(rest, separator.size);
    return code.size >= 4 && checkin_is_base64(text_first(code, code.size - code.size % 4));
}

/* A command alone, or with a separator that no list knows, needs a length that holds or the end's
 * mark: words that begin alike are many. */
static bool is_command(const struct frame *frame, struct sink_text command)
{
    if (!text_begins(frame->payload, command))
        return false;
    struct sink_text rest = text_after(frame->payload, command.size);
    if (begins_with_separator(rest))
        return frame->prefixed || frame->ended || is_code_of_old(rest);
    if (frame->ended)
        return rest.size == 0 || (checkin_is_text(rest) && is_punctuation(rest.octets[0]));
    if (rest.size == 0 || !frame->strict)
        return frame->strict && !frame->cut;
    return (!frame->cut || text_begins(command, text_word("ll"))) && may_be_separated(rest);
}

static bool is_beacon(const struct frame *frame)
{
    if (frame->payload.size == 0)
        return frame->strict; /* "0" NUL: a keep-alive */
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (frame->payload.octets[0] == (uint8_t)commands[i][0] &&
            is_command(frame, text_word(commands[i])))
            return true;
    }
    return false;
}

/* Whether so few octets are left that they may begin another message: digits, or none. */
static bool is_start(struct sink_text rest)
{
    for (size_t i = 0; i < rest.size; i++) {
        if (!is_digit(rest.octets[i]) || i == LENGTH_DIGITS_MAX)
            return false;
    }
    return true;
}

struct messages {
    bool checkin, beacon; /* there was one; a keep-alive alone is no beacon */
    bool strict;          /* all of the flight is messages, with lengths that hold */
};

/* Reads the message of a frame; false if it is none. */
static bool read_message(struct sink_text flight, const struct frame *frame,
                         struct messages *messages, struct sink_recognition *recognition)
{
    struct checkin checkin;
    bool cut = frame->cut ||
               (!frame->prefixed && !frame->ended &&
                begins_with_separator(text_after(frame->payload, frame->payload.size < 2 ? 0 : 2)));
    bool found = read_checkin(frame->payload, cut, &checkin);
    if (!found && frame->prefixed && frame->next < flight.size) { /* the length doesn't hold */
        size_t at = (size_t)(frame->payload.octets - flight.octets);
        found = read_checkin(text_after(flight, at), false, &checkin);
        messages->strict = messages->strict && !found;
    }
    if (frame->cut || (frame->prefixed && !frame->strict))
        messages->strict = false;
    if (found && !messages->checkin)
        describe_checkin(&checkin, recognition);
    messages->checkin = messages->checkin || found;
    if (!found && !is_beacon(frame))
        return false;
    messages->beacon = messages->beacon || frame->payload.size > 0;
    return true;
}

bool njrat_recognise(const uint8_t *octets, size_t size, struct sink_recognition *recognition)
{
    struct sink_text flight = text_part(octets, size);
    struct messages messages = {false, false, size > 0};
    size_t at = 0, count = 0;
    while (count < MESSAGES_MAX && !is_start(text_after(flight, at))) {
        struct frame frame;
        if (!read_frame(flight, at, &frame) ||
            !read_message(flight, &frame, &messages, recognition)) {
            messages.strict = false;
            break;
        }
        at = frame.next;
        count++;
    }
    bool keeps_alive = count > 0 && messages.strict;
    if (!messages.checkin && !messages.beacon && !keeps_alive)
        return false;

    if (messages.checkin) {
        recognition->wellformed = recognition->wellformed && messages.strict;
    } else {
        recognition->kind = SINK_BEACON;
        recognition->wellformed = messages.strict;
    }
    recognition->family = "njrat";
    recognition->rule = "njrat";
    return true;
}
