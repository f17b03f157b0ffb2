/* The fields of a check-in: taking them apart, and whether they say what a real machine says.
 *
 * "Plausible" is meant widely: names and campaigns are in any language and code page, dates in the
 * calendar of the machine. What isn't plausible is still recognised, but no proof of a victim.
 * Nothing is allocated. Any thread.
 */
#pragma once

#include "sink/text_part.h"

/* Splits `message` at each `separator`, which is not empty. Returns the number of fields; what is
 * beyond `fields_max` stays in the last. */
size_t checkin_split(struct sink_text message, struct sink_text separator,
                     struct sink_text *ret_fields, size_t fields_max);

/* Whether it is base64 with its padding (RFC 4648, section 4); the empty text is. */
bool checkin_is_base64(struct sink_text text);

/* Room for decoded fields: a recognition's scratch, filled from its start. */
struct checkin_scratch {
    struct sink_recognition *recognition;
    size_t used;
};

/* Decodes base64; a NUL at the end, which .NET agents send along, is dropped. False, and nothing is
 * taken, if it isn't base64 or there is no room. */
bool checkin_decode(struct checkin_scratch *scratch, struct sink_text coded,
                    struct sink_text *ret_text);

/* Whether it has no control characters and isn't empty. */
bool checkin_is_text(struct sink_text text);

/* A volume's serial number: 1 to 8 hexadecimal digits, also as "0A87-85F9". */
bool checkin_is_serial(struct sink_text text);

/* Whether it ends in "_" or "-" and a serial number: "HacKed_12345678". */
bool checkin_ends_in_serial(struct sink_text id);

/* "26-11-23", "2013-11-22", "20/9/2019", "27/3/120": the form alone. "??-??-??", as agents say
 * where the date can't be read, has it, too. */
bool checkin_is_date(struct sink_text text);

/* A day of the Gregorian calendar, from 2005 to tomorrow, or of the Islamic, the Persian or the
 * Thai one to this year: agents write the date in the calendar of the machine. Any order of day,
 * month and year. */
bool checkin_date_plausible(struct sink_text text);

bool checkin_host_plausible(struct sink_text host);
bool checkin_user_plausible(struct sink_text user);

/* None, or two or three letters. */
bool checkin_country_plausible(struct sink_text country);

/* Whether it speaks of Windows. */
bool checkin_is_system(struct sink_text system);

/* Whether there is such a Windows, with such a service pack. */
bool checkin_system_plausible(struct sink_text system);

bool checkin_is_yes_or_no(struct sink_text text);

/* Copies what is printable ASCII of it, as much as there is room. */
void checkin_version(struct sink_recognition *recognition, struct sink_text version);
