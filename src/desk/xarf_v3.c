/* XARF 3, in which there was one class and the type said it all, as version 4. */
#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "desk/json_in.h"
#include "desk/xarf.h"

#define TEXT_SIZE_MAX 2048

struct v3_type {
    const char *name; /* lower case, as ReportType's words are compared */
    const char *category, *type;
};

static const struct v3_type types[] = {
    {"phishing", "content", "phishing"},     {"malware", "content", "malware"},
    {"fraud", "content", "phishing"},        {"spam", "messaging", "spam"},
    {"botnet", "infrastructure", "botnet"},  {"bot", "infrastructure", "botnet"},
    {"copyright", "copyright", "copyright"}, {"trademark", "copyright", "copyright"},
};

/* The parts of a report, and what version 3 calls things in its editions. */
struct v3 {
    struct json_in reporter, report;
    const json_t *source, *more; /* Source and AdditionalInfo; NULL: there is none */
    const struct v3_type *type;
};

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL && text[0] != '\0' && strlen(text) <= TEXT_SIZE_MAX ? text : NULL;
}

/* The first of some members that is there. */
static const char *first_of(const json_t *object, const char *const *names)
{
    const char *text = NULL;
    for (; *names != NULL && text == NULL; names++)
        text = text_of(object, *names);
    return text;
}

static const char *url_of(const struct v3 *v3)
{
    static const char *const names[] = {"Url", "URL", "SourceUrl", "SourceURL", "Uri", NULL};
    const char *url = first_of(v3->report.object, names);
    return url != NULL ? url : first_of(v3->source, names);
}

static const char *source_of(const struct v3 *v3)
{
    static const char *const names[] = {"SourceIp", "IP", "Ip", "SourceDomain", "Domain", NULL};
    const char *source = first_of(v3->source, names);
    if (source == NULL)
        source = first_of(v3->report.object, names);
    return source != NULL ? source : url_of(v3);
}

static void set(json_t *object, const char *name, const char *text)
{
    if (text != NULL)
        json_object_set_new(object, name, json_string(text));
}

/* ---- Reading ---- */

static int type_read(struct v3 *v3, struct error *ret_error)
{
    char lower[64];
    const char *text;
    int rc = json_in_text(&v3->report, "ReportType", 1, sizeof(lower) - 1, &text, ret_error);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i <= strlen(text); i++)
        lower[i] = (char)tolower((unsigned char)text[i]);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i].name, lower) == 0) {
            v3->type = &types[i];
            return 0;
        }
    return json_in_fail(&v3->report, "ReportType", ret_error,
                        "is not of those that concern host names: report addresses to who runs "
                        "their network");
}

static int v3_read(const json_t *json, struct v3 *v3, struct error *ret_error)
{
    struct json_in in;
    const char *text;
    int rc = json_in_open(json, "", &in, ret_error);
    if (rc == 0)
        rc = json_in_object(&in, "ReporterInfo", &v3->reporter, ret_error);
    if (rc == 0)
        rc = json_in_object(&in, "Report", &v3->report, ret_error);
    if (rc == 0)
        rc = json_in_text(&v3->reporter, "ReporterOrg", 1, 4 * 200, &text, ret_error);
    if (rc == 0)
        rc = json_in_text(&v3->reporter, "ReporterOrgEmail", 1, EMAIL_SIZE_MAX, &text, ret_error);
    if (rc == 0)
        rc = json_in_text(&v3->report, "ReportClass", 1, 64, &text, ret_error);
    if (rc == 0)
        rc = json_in_text(&v3->report, "Date", 1, 64, &text, ret_error);
    if (rc == 0)
        rc = type_read(v3, ret_error);
    if (rc < 0)
        return rc;
    v3->source = json_object_get(v3->report.object, "Source");
    v3->more = json_object_get(v3->report.object, "AdditionalInfo");
    if (source_of(v3) == NULL)
        return json_in_fail(&v3->report, "Url", ret_error,
                            "is missing, and there is no other source: add it");
    return 0;
}

/* ---- Writing ---- */

/* A random UUID (RFC 9562, 5.4): version 3 has identifiers of any form. */
static json_t *uuid_make(void)
{
    uint8_t octets[16];
    char hex[33], text[37];
    randombytes_buf(octets, sizeof(octets));
    octets[6] = (uint8_t)((octets[6] & 0x0f) | 0x40);
    octets[8] = (uint8_t)((octets[8] & 0x3f) | 0x80);
    sodium_bin2hex(hex, sizeof(hex), octets, sizeof(octets));
    snprintf(text, sizeof(text), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
    return json_string(text);
}

static json_t *contact_make(const struct v3 *v3)
{
    const json_t *info = v3->reporter.object;
    const char *mail = text_of(info, "ReporterContactEmail"), *domain;

    if (mail == NULL)
        mail = text_of(info, "ReporterOrgEmail");
    domain = text_of(info, "ReporterOrgDomain");
    if (domain == NULL && mail != NULL && strrchr(mail, '@') != NULL)
        domain = strrchr(mail, '@') + 1;
    json_t *contact = json_object();
    set(contact, "org", text_of(info, "ReporterOrg"));
    set(contact, "contact", mail);
    set(contact, "domain", domain);
    return contact;
}

static json_t *evidence_make(const struct v3 *v3)
{
    static const char *const payloads[] = {"Payload", "Data", NULL};
    const json_t *samples = json_object_get(v3->report.object, "Samples");
    json_t *list = json_array(), *sample;
    size_t i;

    if (samples == NULL)
        samples = json_object_get(v3->report.object, "Attachment");
    json_array_foreach((json_t *)samples, i, sample)
    {
        json_t *piece = json_object();
        const char *type = text_of(sample, "ContentType");
        set(piece, "content_type", type != NULL ? type : "application/octet-stream");
        set(piece, "description", text_of(sample, "Description"));
        for (size_t p = 0; payloads[p] != NULL; p++)
            if (json_object_get(sample, payloads[p]) != NULL)
                json_object_set(piece, "payload", json_object_get(sample, payloads[p]));
        json_array_append_new(list, piece);
    }
    return list;
}

/* What the type of version 4 has beyond the core. */
static void type_fill(const struct v3 *v3, json_t *json)
{
    const json_t *report = v3->report.object;
    const char *url = url_of(v3), *from = text_of(report, "SmtpMailFromAddress");
    char made[TEXT_SIZE_MAX + 16];

    if (url == NULL || strstr(url, "://") == NULL) {
        snprintf(made, sizeof(made), "http://%s/", url != NULL ? url : source_of(v3));
        url = made;
    }
    if (strcmp(v3->type->category, "content") == 0)
        set(json, "url", url);
    if (strcmp(v3->type->category, "copyright") == 0)
        set(json, "infringing_url", url);
    if (strcmp(v3->type->category, "messaging") == 0) {
        json_t *port = json_object_get(report, "SourcePort");
        json_object_set_new(json, "source_port",
                            port != NULL ? json_incref(port) : json_integer(25));
        set(json, "protocol", from != NULL ? "smtp" : "other");
        set(json, "smtp_from", from);
    }
    if (strcmp(v3->type->category, "infrastructure") == 0) {
        set(json, "compromise_evidence", "converted from XARF 3");
        set(json, "c2_server", text_of(v3->more, "C2Server"));
    }
}

bool xarf_is_v3(const json_t *json)
{
    const char *version = text_of(json, "Version");
    return version != NULL && (strcmp(version, "3") == 0 || strncmp(version, "3.", 2) == 0);
}

int xarf_convert_v3(const json_t *json, json_t **ret_json, struct error *ret_error)
{
    struct v3 v3 = {0};
    int rc = v3_read(json, &v3, ret_error);
    if (rc < 0)
        return rc;
    json_t *made = json_object();
    set(made, "xarf_version", "4.0.0");
    set(made, "legacy_version", "3");
    json_object_set_new(made, "report_id", uuid_make());
    set(made, "timestamp", text_of(v3.report.object, "Date"));
    json_object_set_new(made, "reporter", contact_make(&v3));
    json_object_set_new(made, "sender", contact_make(&v3));
    set(made, "source_identifier", source_of(&v3));
    set(made, "category", v3.type->category);
    set(made, "type", v3.type->type);
    set(made, "description", text_of(v3.report.object, "AttackDescription"));
    json_object_set_new(made, "evidence", evidence_make(&v3));
    type_fill(&v3, made);
    *ret_json = made;
    return 0;
}
