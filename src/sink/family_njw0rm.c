/* njw0rm, an AutoIt worm of njRAT's author.
 *
 * A message is `<command><separator><field>...` and CR LF, with the separator "0njxq80" unless its
 * builder was changed:
 *
 *   lv  id (campaign, "_", volume serial number), country, system ("WIN_7 X64 SP1"), version, came
 * by USB (Y, N or !), active window; later versions have host and user after the id ac  active
 * window; MSG, PWD and pas: outcome of a command
 *
 * Sources: "Njw0rm - Brother From the Same Mother" (FireEye, 2013); "New RATs Emerge from Leaked
 * Njw0rm Source Code" (Trend Micro, 2015); rule 2017404 of Emerging Threats.
 */
#include "sink/checkin_fields.h"

#define SEPARATOR          "0njxq80"
#define SEPARATOR_SIZE_MAX 16
#define FIELDS_MAX         16

struct checkin {
    struct sink_text fields[FIELDS_MAX];
    size_t count;
    size_t system; /* which field; `count` where there is none */
};

/* AutoIt's @OSVersion, architecture and service pack. */
static bool is_autoit_system(struct sink_text field)
{
    return text_begins_as(field, "win_");
}

static bool is_usb_flag(struct sink_text field)
{
    return (field.size == 1 && strchr("YNyn!", field.octets[0]) != NULL &&
            field.octets[0] != '\0') ||
           checkin_is_yes_or_no(field) || text_is(field, "true") || text_is(field, "false");
}

static void find_system(struct checkin *checkin)
{
    checkin->system = checkin->count;
    for (size_t i = 1; i < checkin->count && i <= 5; i++) {
        if (is_autoit_system(checkin->fields[i]) ||
            (i > 1 && checkin_is_system(checkin->fields[i]))) {
            checkin->system = i;
            return;
        }
    }
}

/* With a separator that isn't the known one, all that makes a check-in must be there. */
static bool is_checkin(const struct checkin *checkin)
{
    return checkin->system < checkin->count && checkin_ends_in_serial(checkin->fields[0]) &&
           is_autoit_system(checkin->fields[checkin->system]) &&
           checkin->system + 2 < checkin->count &&
           is_usb_flag(checkin->fields[checkin->system + 2]);
}

static bool read_checkin(struct sink_text rest, struct checkin *checkin, bool *ret_known)
{
    struct sink_text separator = text_word(SEPARATOR);
    *ret_known = text_begins(rest, separator);
    size_t size = *ret_known ? separator.size : 1;
    for (; size <= SEPARATOR_SIZE_MAX && size < rest.size; size++) {
        struct sink_text after = text_after(rest, size);
        separator = text_first(rest, size);
        checkin->count = checkin_split(after, separator, checkin->fields, FIELDS_MAX);
        find_system(checkin);
        if (*ret_known)
            return checkin->count > 1 && checkin_is_text(checkin->fields[0]);
        if (checkin->count == 1)
            return false; /* nor is a longer one there a second time */
        if (is_checkin(checkin))
            return true;
    }
    return false;
}

static void describe(const struct checkin *checkin, bool whole,
                     struct sink_recognition *recognition)
{
    const struct sink_text *fields = checkin->fields;
    size_t system = checkin->system;
    recognition->kind = SINK_CHECKIN;
    recognition->bot = text_trim(fields[0]);
    if (system == checkin->count)
        return;

    bool has_names = system >= 3;
    if (has_names) {
        recognition->machine = fields[1];
        recognition->user = fields[2];
    }
    if (system == 2 || system == 4)
        recognition->country = text_trim(fields[system - 1]);
    recognition->system = fields[system];
    if (system + 1 < checkin->count)
        checkin_version(recognition, fields[system + 1]);
    if (system + 3 < checkin->count)
        recognition->window = fields[system + 3];

    bool has_flag = system + 2 < checkin->count && is_usb_flag(fields[system + 2]);
    recognition->wellformed = whole && has_flag && system + 3 < checkin->count;
    recognition->consistent = has_flag && checkin_ends_in_serial(recognition->bot) &&
                              checkin_country_plausible(recognition->country) &&
                              checkin_system_plausible(recognition->system) &&
                              (!has_names || (checkin_host_plausible(recognition->machine) &&
                                              checkin_user_plausible(recognition->user)));
}

/* "ac", "MSG", "PWD" or "pas", or a check-in that ends within its id. */
static bool is_beacon(struct sink_text line)
{
    size_t at = text_find(line, text_word(SEPARATOR));
    struct sink_text command = text_first(line, at);
    return at < line.size &&
           (text_is(command, "ac") || text_is(command, "msg") || text_is(command, "pwd") ||
            text_is(command, "pas") || text_is(command, "lv"));
}

bool njw0rm_recognise(const uint8_t *octets, size_t size, struct sink_recognition *recognition)
{
    struct sink_text flight = text_part(octets, size);
    size_t end = text_find(flight, text_word("\n"));
    struct sink_text line = text_first(flight, end);
    bool whole = end < size && text_ends(line, "\r");
    if (text_ends(line, "\r"))
        line.size--;

    struct checkin checkin;
    bool known = false;
    if (text_begins_as(line, "lv") && read_checkin(text_after(line, 2), &checkin, &known)) {
        describe(&checkin, whole, recognition);
    } else if (is_beacon(line)) {
        recognition->kind = SINK_BEACON;
        recognition->wellformed = whole && !text_begins_as(line, "lv");
    } else {
        return false;
    }
    recognition->family = "njw0rm";
    recognition->rule = "njw0rm";
    return true;
}
