/* H-Worm, alias Houdini, Jenxcus, Dunihi, and its kin that speak HTTP: WSHRAT, J-Worm, Vjw0rm,
 * Kjw0rm.
 *
 * An agent asks for work by `POST /is-ready` (Vjw0rm: /Vre, Kjw0rm: /ready) and says who it is in
 * the User-Agent:
 *
 *   H-Worm   serial<|>host<|>user<|>system<|>version<|>antivirus<|>came by USB - date
 *   WSHRAT   WSHRAT|serial|host|user|system|version|antivirus|USB - date|country or language
 *   Vjw0rm   campaign_serial\host\user\system\antivirus\\has .NET\came by USB\
 *   Kjw0rm   campaign_serial\host\user\system\country\\version\has .NET\came by USB\...
 *
 * with other separators in changed ones. Through a proxy the target is a whole URI. Outcomes are
 * sent to other paths, such as /is-enum-driver; some with arguments after the separator, as in
 * /is-sending<|>file. The name of the field is set as "user-agent:" by some, so that its value
 * begins with a second colon.
 *
 * Houdini of 2016 left HTTP: "new_houdini", a separator and who it is, over TCP.
 *
 * Sources: "Now You See Me - H-worm by Houdini" (FireEye, 2013); "New RATs Emerge from Leaked
 * Njw0rm Source Code" (Trend Micro, 2015); "Houdini Worm Transformed in New Phishing Attack"
 * (Cofense, 2019, on WSHRAT); c2db (silence-is-best), which keeps captures of Dunihi and others;
 * "Houdini's Magic Reappearance" (Unit 42, 2016).
 */
#include "sink/checkin_fields.h"
#include "sink/http_request.h"

#include <errno.h>

#define FIELDS_MAX         16
#define SEPARATOR_SIZE_MAX 8

/* Paths of requests for work. */
static const char *const ready_paths[] = {"is-ready", "vre", "ready"};

/* Paths of outcomes and other messages. */
static const char *const other_paths[] = {
    "is-sending",      "is-recving",   "is-enum-driver", "is-enum-faf",
    "is-enum-process", "is-cmd-shell", "is-up-n-exec",   "is-logs",
    "is-processes",    "is-bk-",       "is-enum-path",   "is-screen",
    "is-keylogs",      "is-pass",      "is-site-send",   "update-status",
    "open-rdp",        "open-hrdp",    "open-keylogger", "get-pass",
    "moz-sdk",         "chr-sdk",      "orderpiza",      "is-",
};

/* H-Worm's own separator, as it is and as clients escape it in a path, comes first. */
static const char *const separators[] = {"<|>",       "%3C|%3E", "%3c|%3e", "%3C%7C%3E",
                                         "%3c%7c%3e", "|",       "\\"};
#define OWN_SEPARATORS 5

enum path { PATH_OTHER, PATH_READY, PATH_MESSAGE };

/* The path without its "/". A proxy on the way is sent the whole URI (RFC 9112, section 3.2.2). */
static struct sink_text target_path(struct sink_text target)
{
    if (text_begins_as(target, "http://")) {
        target = text_after(target, strlen("http://"));
        target = text_after(target, text_find(target, text_word("/")));
    }
    return target.size > 0 ? text_after(target, 1) : target;
}

/* What the path asks; `ret_separated`: it goes on with H-Worm's own separator. */
static enum path read_path(struct sink_text target, bool *ret_separated)
{
    struct sink_text path = target_path(target);
    *ret_separated = false;
    for (size_t i = 0; i < OWN_SEPARATORS; i++) {
        size_t at = text_find(path, text_word(separators[i]));
        if (at < path.size) {
            *ret_separated = true;
            path.size = at;
        }
    }
    path = text_first(path, text_find(path, text_word("?")));
    for (size_t i = 0; i < sizeof(ready_paths) / sizeof(ready_paths[0]); i++) {
        if (text_is(path, ready_paths[i]))
            return PATH_READY;
    }
    for (size_t i = 0; i < sizeof(other_paths) / sizeof(other_paths[0]); i++) {
        if (text_begins_as(path, other_paths[i]))
            return PATH_MESSAGE;
    }
    return PATH_OTHER;
}

struct identity {
    struct sink_text fields[FIELDS_MAX];
    size_t count;
    size_t id;             /* which field: 1 after a mark such as WSHRAT */
    struct sink_text mark; /* "" for none */
    bool usual;            /* id and system are as real agents send them */
    bool own_separator;    /* "<|>" */
    bool inferred;         /* the separator is on no list */
};

/* What some put before the id. */
static bool is_mark(struct sink_text field)
{
    return text_is(field, "wshrat") || text_is(field, "j-worm") || text_is(field, "h-worm") ||
           text_is(field, "houdini");
}

static bool is_id(struct sink_text field)
{
    struct sink_text text = text_trim(field);
    return (text.size >= 6 && checkin_is_serial(text)) ||
           (checkin_ends_in_serial(text) && text_find(text, text_word("/")) == text.size);
}

static bool is_system(struct sink_text field)
{
    return checkin_is_system(field) || text_has(field, "microsoft");
}

/* Id, host, user and a system of Windows, in this order. Where WMI fails an agent leaves the id
 * empty and the system out: that is taken of those whose separator or mark can't be another's. The
 * user is empty where the environment doesn't name it. */
static bool is_identity(struct identity *identity)
{
    identity->id = is_mark(identity->fields[0]) ? 1 : 0;
    identity->mark = identity->id == 1 ? identity->fields[0] : text_word("");
    const struct sink_text *fields = identity->fields + identity->id;
    const size_t count_min = identity->id + (identity->own_separator ? 4 : 5);
    if (identity->count < count_min || !checkin_is_text(fields[1]) ||
        (fields[2].size > 0 && !checkin_is_text(fields[2])))
        return false;
    bool has_id = is_id(fields[0]), has_system = is_system(fields[3]);
    identity->usual = has_id && has_system;
    return identity->usual || ((identity->own_separator || identity->id == 1) &&
                               (has_id || has_system || fields[0].size == 0));
}

/* The punctuation after the first word, for separators of changed agents. */
static struct sink_text infer_separator(struct sink_text agent)
{
    size_t at = 0;
    while (at < agent.size && (is_letter(agent.octets[at]) || is_digit(agent.octets[at]) ||
                               agent.octets[at] == '_' || (at < 9 && agent.octets[at] == '-')))
        at++;
    size_t end = at;
    while (end < agent.size && end - at < SEPARATOR_SIZE_MAX && agent.octets[end] > ' ' &&
           agent.octets[end] < 0x7f && !is_letter(agent.octets[end]) &&
           !is_digit(agent.octets[end]))
        end++;
    return text_first(text_after(agent, at), end - at);
}

static bool read_identity(struct sink_text agent, struct identity *identity)
{
    for (size_t i = 0; i < sizeof(separators) / sizeof(separators[0]); i++) {
        identity->count =
            checkin_split(agent, text_word(separators[i]), identity->fields, FIELDS_MAX);
        identity->own_separator = i < OWN_SEPARATORS && identity->count > 1;
        identity->inferred = false;
        if (is_identity(identity))
            return true;
    }
    struct sink_text separator = infer_separator(agent);
    if (separator.size == 0 || text_is(separator, "/"))
        return false;
    identity->count = checkin_split(agent, separator, identity->fields, FIELDS_MAX);
    identity->own_separator = false;
    identity->inferred = true;
    return is_identity(identity);
}

static bool is_flag(struct sink_text field)
{
    return text_begins_as(field, "true") || text_begins_as(field, "false") ||
           text_begins_as(field, "yes") || text_is(field, "no") || text_begins_as(field, "no v") ||
           text_is(field, "undefined");
}

static bool is_antivirus_none(struct sink_text field)
{
    return text_is(field, "nan-av") || text_is(field, "non-av");
}

/* How much else than the order of its fields speaks for an agent. Names of tools that happen to
 * begin like an id have none of it. */
static unsigned evidence(const struct identity *identity, enum path path)
{
    bool flag = false, version = false;
    for (size_t i = identity->id + 4; i < identity->count; i++) {
        struct sink_text field = text_trim(identity->fields[i]);
        flag = flag || is_flag(field);
        version = version || is_antivirus_none(field) || text_is(field, "plus") ||
                  text_is(field, "+") || text_has(field, "underworld");
    }
    return (path != PATH_OTHER ? 2U : 0) + (identity->mark.size > 0 ? 2U : 0) +
           (identity->own_separator ? 1U : 0) + (flag ? 1U : 0) + (version ? 1U : 0);
}

/* The date in "false - 20/9/2019", or none. WSHRAT puts its campaign behind: "27/3/120/Corona". */
static struct sink_text flag_date(struct sink_text field)
{
    size_t at = text_find(field, text_word(" - "));
    if (at == field.size || !is_flag(field))
        return text_word("");
    struct sink_text rest = text_trim(text_after(field, at + 3));
    for (size_t end = rest.size; end > 0; end--) {
        if (checkin_is_date(text_first(rest, end)))
            return text_first(rest, end);
    }
    return rest;
}

/* "GB:Provider" and "US:United States": two letters; a language or a telephone code says none. */
static struct sink_text country_code(struct sink_text field)
{
    bool has_code = field.size >= 2 && is_letter(field.octets[0]) && is_letter(field.octets[1]) &&
                    (field.size == 2 || field.octets[2] == ':');
    return has_code ? text_first(field, 2) : text_word("");
}

/* What came of an agent that TCP cut: the id, whole, and H-Worm's own separator. */
static bool read_cut_id(struct sink_text agent, struct sink_text *ret_id)
{
    struct sink_text id = text_first(agent, text_find(agent, text_word(separators[0])));
    if (id.size == agent.size || !is_id(id))
        return false;
    *ret_id = id;
    return true;
}

static void describe(const struct identity *identity, struct sink_recognition *recognition)
{
    const struct sink_text *fields = identity->fields + identity->id;
    size_t count = identity->count - identity->id;
    recognition->bot = text_trim(fields[0]);
    recognition->machine = fields[1];
    recognition->user = fields[2];
    if (is_system(fields[3]))
        recognition->system = text_trim(fields[3]);
    bool flag = false;
    size_t version =
        count > 4 && fields[4].size == 0 ? 5 : 4; /* one builder writes two separators */
    if (version < count && !checkin_ends_in_serial(fields[0]))
        checkin_version(recognition, text_trim(fields[version]));
    for (size_t i = 4; i < count; i++) {
        flag = flag || is_flag(text_trim(fields[i]));
        if (recognition->installed.size == 0)
            recognition->installed = flag_date(fields[i]);
    }
    if (identity->mark.size > 0)
        recognition->country = country_code(fields[count - 1]);

    recognition->wellformed = !identity->inferred && flag;
    recognition->consistent =
        is_id(fields[0]) && checkin_host_plausible(fields[1]) &&
        checkin_user_plausible(fields[2]) && checkin_system_plausible(fields[3]) &&
        (recognition->installed.size == 0 || checkin_date_plausible(recognition->installed));
}

/* Some agents set the field "user-agent:", whose value then begins with a colon. */
static struct sink_text agent_value(struct sink_text agent)
{
    while (agent.size > 0 && (agent.octets[0] == ':' || agent.octets[0] == ' '))
        agent = text_after(agent, 1);
    return agent;
}

/* Houdini of 2016 is in AutoIt and speaks TCP alone: a greeting, then what its controller asks. */
static bool is_greeting(struct sink_text flight)
{
    static const char greeting[] = "new_houdini";
    const size_t size = sizeof(greeting) - 1;
    return text_begins_as(flight, greeting) && flight.size > size &&
           !is_letter(flight.octets[size]) && flight.octets[size] != ' ' &&
           flight.octets[size] != '_';
}

bool hworm_recognise(const uint8_t *octets, size_t size, struct sink_recognition *recognition)
{
    struct http_request request;
    if (is_greeting(text_part(octets, size))) {
        recognition->kind = SINK_BEACON;
        recognition->family = "hworm";
        recognition->rule = "hworm";
        return true;
    }
    int rc = http_request_read(octets, size, &request);
    if (rc < 0 && rc != -EAGAIN)
        return false;
    bool is_post = text_is(request.method, "post");
    if (!is_post && !text_is(request.method, "get"))
        return false;

    struct identity identity;
    bool separated;
    enum path path = read_path(request.target, &separated);
    if (read_identity(agent_value(request.agent), &identity) &&
        evidence(&identity, path) >= (is_post && identity.usual ? 2 : 3)) {
        recognition->kind = path == PATH_MESSAGE ? SINK_BEACON : SINK_CHECKIN;
        describe(&identity, recognition);
        recognition->wellformed = recognition->wellformed && rc == 0 && request.strict && is_post;
    } else if (is_post && path == PATH_MESSAGE && separated) {
        recognition->kind = SINK_BEACON; /* the oldest send files so, with no User-Agent */
        recognition->wellformed = rc == 0;
    } else if (is_post && path != PATH_OTHER && rc == -EAGAIN &&
               read_cut_id(agent_value(request.agent), &recognition->bot)) {
        recognition->kind = SINK_BEACON;
    } else {
        return false;
    }
    recognition->family = "hworm";
    recognition->rule = "hworm";
    recognition->host = request.host;
    recognition->agent = request.agent;
    return true;
}
