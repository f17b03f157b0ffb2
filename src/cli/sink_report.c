/* `tamis sink report`: victims of one network, country or order, with their addresses opened, for
 * who can clean them. No other command opens an address. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/quantity.h"
#include "cli/sink_events_place.h"
#include "cli/sink_report.h"
#include "sink/networks.h"
#include "sink/privacy.h"

static const struct report_format *const formats[] = {&report_csv, &report_json, &report_stix,
                                                      &report_xarf};
#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

#define MAIL_PREFIX "mailto:"

struct report {
    struct sink_events_place place;
    const struct report_format *format;
    struct report_sender sender;
    const char *out; /* NULL: standard output */

    /* Which victims. */
    bool all;
    uint32_t asn;        /* 0: any */
    const char *country; /* NULL: any */
    const char *order;   /* NULL: any */
    unsigned classes;    /* bits by enum census_class */

    struct privacy *privacy;
    struct networks *networks; /* NULL: none are configured */
    FILE *stream;
    void *state; /* of the format */
    uint64_t written, sealed;
    struct error *error;
};

/* ---- Victims ---- */

static bool is_asked_for(const struct report *report, const struct census_entry *entry)
{
    return (report->classes >> entry->class & 1) != 0 &&
           (report->asn == 0 || entry->asn == report->asn) &&
           (report->country == NULL || strcasecmp(entry->country, report->country) == 0) &&
           (report->order == NULL || strcmp(entry->order, report->order) == 0) &&
           entry->last_us >= report->place.since_us;
}

static int entry_take(void *context, const struct census_entry *entry)
{
    struct report *report = context;
    struct report_victim victim = {.entry = entry};
    char holder[256] = "";

    if (!is_asked_for(report, entry))
        return 0;
    int rc = privacy_open_address(report->privacy, entry->last, &victim.address);
    if (rc == -ENOENT) {
        report->sealed++;
        return 0;
    }
    if (rc < 0)
        return error_set(report->error, rc, "an address can't be opened: %s", strerror(-rc));
    if (report->networks != NULL)
        networks_holder(report->networks, &victim.address, holder, sizeof(holder));
    victim.holder = holder;
    report_victim_fill(&victim);
    report->written++;
    return report->format->victim(report->stream, report->state, &victim, report->error);
}

static int victims_write(struct report *report, const struct census *census,
                         struct error *ret_error)
{
    const int64_t end_us =
        report->place.until_us != 0 ? report->place.until_us : report->place.now_us;
    int rc = report->format->begin(report->stream, &report->sender, &report->state, ret_error);
    if (rc < 0)
        return rc;
    report->error = ret_error;
    rc = census_each(census, end_us, entry_take, report);
    if (rc == 0)
        rc = report->format->end(report->stream, report->state, ret_error);
    report->format->free(report->state);
    if (rc == 0 && (fflush(report->stream) != 0 || ferror(report->stream)))
        rc = error_set(ret_error, -EIO, "the report can't be written: is the disk full?");
    return rc;
}

/* ---- The file ---- */

/* Into a file beside it first: there is a whole report, or the one before. Nobody else reads it. */
static int file_write(struct report *report, const struct census *census, struct error *ret_error)
{
    char path[PATH_MAX];
    if (report->out == NULL) {
        report->stream = stdout;
        return victims_write(report, census, ret_error);
    }
    int size = snprintf(path, sizeof(path), "%s.part", report->out);
    if (size < 0 || (size_t)size >= sizeof(path))
        return error_set_at(ret_error, -ENAMETOOLONG, report->out, 0, "the path is too long");
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    report->stream = fd < 0 ? NULL : fdopen(fd, "w");
    if (report->stream == NULL) {
        int rc = -errno;
        if (fd >= 0)
            close(fd);
        return error_set_at(ret_error, rc, path, 0, "cannot be written: %s", strerror(-rc));
    }
    int rc = victims_write(report, census, ret_error);
    if (rc == 0 && fsync(fd) < 0)
        rc = error_set_at(ret_error, -errno, path, 0, "cannot be written: %s", strerror(errno));
    if (fclose(report->stream) != 0 && rc == 0)
        rc = error_set_at(ret_error, -errno, path, 0, "cannot be written: %s", strerror(errno));
    if (rc == 0 && rename(path, report->out) < 0)
        rc = error_set_at(ret_error, -errno, report->out, 0, "cannot be replaced: %s",
                          strerror(errno));
    if (rc < 0)
        (void)unlink(path);
    return rc;
}

/* ---- What it needs ---- */

static int keys_open(struct report *report, struct error *ret_error)
{
    const struct privacy_options options = {.folder = report->place.keys_folder,
                                            .addresses = PRIVACY_DETERMINISTIC,
                                            .rotate_days = 1,
                                            .keep_days = 1,
                                            .read_only = true};
    struct stat status;
    if (options.folder[0] == '\0')
        return error_set(ret_error, -EINVAL,
                         "addresses are sealed, and no keys are named: give the folder of keys "
                         "with --keys, or the configuration with -c");
    if (stat(options.folder, &status) < 0)
        return error_set_at(ret_error, -errno, options.folder, 0,
                            "addresses are sealed, and their keys can't be reached (%s): run this "
                            "as tamis-sink's user where its keys are, or name them with --keys",
                            strerror(errno));
    return privacy_open(&options, &report->privacy, ret_error);
}

static int parts_open(struct report *report, struct error *ret_error)
{
    int rc = sink_events_open(&report->place, ret_error);
    const struct sink_config *config = report->place.config;
    if (rc == 0)
        rc = keys_open(report, ret_error);
    if (rc == 0 && config != NULL && config->asn_path != NULL)
        rc = networks_open(config->asn_path, NULL, &report->networks, ret_error);
    if (rc < 0)
        return rc;
    if (config != NULL && report->sender.operator_name == NULL)
        report->sender.operator_name = config->operator_name;
    if (config != NULL && report->sender.mail == NULL && config->contact != NULL &&
        strncmp(config->contact, MAIL_PREFIX, strlen(MAIL_PREFIX)) == 0)
        report->sender.mail = config->contact + strlen(MAIL_PREFIX);
    report->sender.now_us = report->place.now_us;
    if (report->format->needs_mail && report->sender.mail == NULL)
        return error_set(ret_error, -EINVAL,
                         "%s names who reports: give a mail address with --contact, or a mailto: "
                         "URI as contact of the configuration",
                         report->format->name);
    return 0;
}

static int report_make(struct report *report, struct error *ret_error)
{
    _cleanup_(census_freep) struct census *census = NULL;
    struct sink_events_loss loss;
    int rc = parts_open(report, ret_error);
    /* Who persists is known from all that there is; `since` says who is in the report. */
    if (rc == 0)
        rc = sink_events_census(&report->place, 0, report->place.until_us, &census, &loss,
                                ret_error);
    if (rc == 0)
        rc = file_write(report, census, ret_error);
    if (rc < 0)
        return rc;
    bool incomplete = sink_events_loss_print(&loss);
    fprintf(stderr, "tamis: addresses of %s opened: for who runs their network, and nobody else\n",
            quantity_count((int64_t)report->written).text);
    if (report->sealed > 0)
        fprintf(stderr,
                "tamis: %s more are left out: the keys of their time are destroyed or in another "
                "folder\n",
                quantity_count((int64_t)report->sealed).text);
    return incomplete || report->sealed > 0;
}

/* ---- Options ---- */

enum {
    OPTION_ASN = SINK_OPTION_OWN,
    OPTION_COUNTRY,
    OPTION_ORDER,
    OPTION_ALL,
    OPTION_FORMAT,
    OPTION_CLASS,
    OPTION_OUT,
    OPTION_CONTACT,
    OPTION_OPERATOR,
};

static int asn_take(struct report *report)
{
    const char *text = strncasecmp(optarg, "AS", 2) == 0 ? optarg + 2 : optarg;
    char *end;
    errno = 0;
    unsigned long long asn = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || asn == 0 ||
        asn > UINT32_MAX)
        return command_usage_error(&command_sink_report, "'%s' is no number of a network", optarg);
    report->asn = (uint32_t)asn;
    return EXIT_OK;
}

static int country_take(struct report *report)
{
    if (strlen(optarg) != 2 || !isalpha((unsigned char)optarg[0]) ||
        !isalpha((unsigned char)optarg[1]))
        return command_usage_error(&command_sink_report,
                                   "'%s' is no country: write two letters (ISO 3166)", optarg);
    report->country = optarg;
    return EXIT_OK;
}

static int format_take(struct report *report)
{
    for (size_t i = 0; i < FORMAT_COUNT; i++)
        if (strcmp(optarg, formats[i]->name) == 0) {
            report->format = formats[i];
            return EXIT_OK;
        }
    return command_usage_error(&command_sink_report,
                               "'%s' is no format: try csv, json, stix or xarf", optarg);
}

static int class_take(struct report *report)
{
    for (size_t i = 0; i < CENSUS_CLASS_COUNT; i++)
        if (strcmp(optarg, census_class_names[i]) == 0) {
            report->classes |= 1U << i;
            return EXIT_OK;
        }
    return command_usage_error(&command_sink_report,
                               "'%s' is no class: try proven, likely, hunter or scanner", optarg);
}

static int option_take(struct report *report, int option, char **argv)
{
    switch (option) {
    case OPTION_ASN:
        return asn_take(report);
    case OPTION_COUNTRY:
        return country_take(report);
    case OPTION_ORDER:
        report->order = optarg;
        return EXIT_OK;
    case OPTION_ALL:
        report->all = true;
        return EXIT_OK;
    case OPTION_FORMAT:
        return format_take(report);
    case OPTION_CLASS:
        return class_take(report);
    case OPTION_OUT:
        report->out = optarg;
        return EXIT_OK;
    case OPTION_CONTACT:
        if (strchr(optarg, '@') == NULL)
            return command_usage_error(&command_sink_report, "'%s' is no mail address", optarg);
        report->sender.mail = optarg;
        return EXIT_OK;
    case OPTION_OPERATOR:
        report->sender.operator_name = optarg;
        return EXIT_OK;
    default:
        return sink_events_option(&command_sink_report, &report->place, option, argv);
    }
}

static int report_check(struct report *report)
{
    const unsigned infections = 1U << CENSUS_PROVEN | 1U << CENSUS_LIKELY;
    const bool is_part = report->asn != 0 || report->country != NULL || report->order != NULL;
    if (report->all == is_part)
        return command_usage_error(&command_sink_report,
                                   "say whose: --asn, --country or --order, or else --all");
    if (report->classes == 0)
        report->classes = 1U << CENSUS_PROVEN;
    if (report->place.json && report->format != NULL && report->format != &report_json)
        return command_usage_error(&command_sink_report, "--json is no %s", report->format->name);
    if (report->format == NULL)
        report->format = report->place.json ? &report_json : &report_csv;
    if (report->format->infections_only && (report->classes & ~infections) != 0)
        return command_usage_error(&command_sink_report,
                                   "%s calls what it lists infected: only of class proven and "
                                   "likely, or take csv or json",
                                   report->format->name);
    return EXIT_OK;
}

static int options_parse(struct report *report, int argc, char **argv)
{
    static const struct option table[] = {
        SINK_EVENTS_OPTIONS,
        {"keys", required_argument, NULL, SINK_OPTION_KEYS},
        {"asn", required_argument, NULL, OPTION_ASN},
        {"country", required_argument, NULL, OPTION_COUNTRY},
        {"order", required_argument, NULL, OPTION_ORDER},
        {"all", no_argument, NULL, OPTION_ALL},
        {"format", required_argument, NULL, OPTION_FORMAT},
        {"class", required_argument, NULL, OPTION_CLASS},
        {"out", required_argument, NULL, OPTION_OUT},
        {"contact", required_argument, NULL, OPTION_CONTACT},
        {"operator", required_argument, NULL, OPTION_OPERATOR},
        {0},
    };
    int option, code;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:", table, NULL)) != -1) {
        code = option_take(report, option, argv);
        if (code != EXIT_OK)
            return code;
    }
    code = sink_events_check(&command_sink_report, &report->place, argc, argv);
    return code == EXIT_OK ? report_check(report) : code;
}

static int report_run(int argc, char **argv)
{
    struct report report = {0};
    struct error error = {0};

    int code = options_parse(&report, argc, argv);
    if (code != EXIT_OK)
        return code;
    int rc = report_make(&report, &error);
    if (rc < 0)
        error_print(stderr, "tamis", &error);
    networks_close(report.networks);
    privacy_close(report.privacy);
    sink_events_close(&report.place);
    return rc == 0 ? EXIT_OK : EXIT_FINDING;
}

const struct command command_sink_report = {
    .path = "sink report",
    .summary = "report infected machines to who runs their network",
    .help = "Usage: tamis sink report --asn N|--country CC|--order ID|--all [OPTION]...\n"
            "\n"
            "Lists the victims that a sinkhole saw, with the address of each one's last check-in.\n"
            "This is the only command that opens addresses; it needs the sinkhole's keys. What it\n"
            "writes is for who runs the network, and can clean the machine.\n"
            "\n"
            "  --asn N          of this network\n"
            "  --country CC     in this country\n"
            "  --order ID       that came by a name of this order\n"
            "  --all            all of them\n"
            "  --since TIME     last seen since then: 7d, 2026-11-24, 2026-11-24T12:00:00Z\n"
            "  --until TIME     as it was known then\n"
            "  --class CLASS    proven (default), likely, hunter, scanner, ...; may be repeated\n"
            "  --format FORMAT  csv (default; Shadowserver's columns), json, stix, xarf\n"
            "  --json           the same as --format json\n"
            "  --out FILE       write into FILE, mode 0600\n"
            "  --operator NAME  who reports (default: the configuration's operator)\n"
            "  --contact MAIL   whom to ask (default: the configuration's contact)\n"
            "  -c FILE          configuration of tamis-sink (default: tamis-sink.yaml here, or\n"
            "                   /etc/tamis-sink/tamis-sink.yaml)\n"
            "  --events FOLDER  the events, where there is no configuration\n"
            "  --keys FOLDER    the keys\n"
            "\n"
            "Example: tamis sink report --asn 64496 --since 7d --out as64496.csv\n",
    .run = report_run,
};
