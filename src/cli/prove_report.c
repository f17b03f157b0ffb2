#include "cli/prove_report.h"

#include <string.h>

#define NUMBER_WIDTH 12

struct paint {
    const char *good, *bad, *dim, *off;
};

static const struct paint paint_colour = {"\033[1;32m", "\033[1;31m", "\033[2m", "\033[0m"};
static const struct paint paint_plain = {"", "", "", ""};

const char *report_number(uint64_t number, char text[static 32])
{
    char digits[24];
    size_t size = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

bool report_proved(const struct report *report)
{
    /* A proof that compared nothing proves nothing. */
    uint64_t right = report->equal + report->blocked + report->blocked_alias;
    return report->stopped == NULL && report->different == 0 && right > 0 &&
           (report->not_comparable == 0 || report->origin_may_be_silent);
}

static void print_row(FILE *stream, const char *label, uint64_t number, const char *text)
{
    char formatted[32];
    fprintf(stream, "  %-14s %*s  %s\n", label, NUMBER_WIDTH, report_number(number, formatted),
            text);
}

static void print_head(const struct report *report, FILE *stream)
{
    char names[32], rate[32];
    double seconds = report->seconds > 0.001 ? report->seconds : 0.001;
    uint64_t asked = report->names_listed + report->names_unlisted;

    fprintf(stream, "  %-14s %s\n  %-14s %s\n", "front", report->front, "origin", report->origin);
    for (size_t i = 0; i < listing_order_count(report->listing); i++) {
        const struct order *order = listing_order(report->listing, i);
        fprintf(stream, "  %-14s %s, %s names", "order", order->id,
                report_number(order->names.count, names));
        if (order->finding_count > 0)
            fprintf(stream, "; %s entries refused: see tamis order check",
                    report_number(order->finding_count, names));
        fputc('\n', stream);
    }
    fprintf(stream, "  %-14s %s names, types %s, DNSSEC %s, in %.1f s: %s names a second\n",
            "asked", report_number(asked, names), report->types, report->dnssec, report->seconds,
            report_number((uint64_t)((double)asked / seconds), rate));

    size_t changed = 0, differ = 0;
    for (size_t i = 0; i < report->serials.count; i++) {
        changed += zone_serial_changed(&report->serials.zones[i]);
        differ += zone_serial_differs(&report->serials.zones[i]);
    }
    fprintf(stream, "  %-14s %zu seen; %zu changed meanwhile, %zu with different serials\n\n",
            "zones", report->serials.count, changed, differ);
}

static void print_kinds(const struct report *report, FILE *stream, const struct paint *paint)
{
    for (enum difference kind = 0; kind < DIFFERENCES; kind++) {
        if (report->by_kind[kind] == 0)
            continue;
        char number[32];
        fprintf(stream, "  %s%-18s %8s%s  %s\n", paint->bad, difference_name(kind),
                report_number(report->by_kind[kind], number), paint->off, difference_summary(kind));
    }
}

static void print_examples(const struct report *report, FILE *stream, const struct paint *paint)
{
    for (size_t i = 0; i < report->example_count; i++) {
        const struct report_example *example = &report->examples[i];
        knot_dname_txt_storage_t name;
        char type[32];
        if (knot_dname_to_str(name, example->name, sizeof(name)) == NULL ||
            knot_rrtype_to_string(example->type, type, sizeof(type)) < 0)
            continue;
        const struct zone_serial *zone = zone_serials_find(&report->serials, example->name);
        bool changed = zone != NULL && zone_serial_changed(zone);
        fprintf(stream, "  %s %s%s: %s%s\n      %s%s%s\n", name, type,
                example->dnssec_ok ? " +DO" : "", difference_name(example->kind),
                changed ? " (the zone's serial changed meanwhile)" : "", paint->dim,
                example->detail, paint->off);
    }
    uint64_t found = report->different + report->not_comparable;
    if (report->example_count > 0 && found > report->example_count) {
        char number[32];
        fprintf(stream, "  ... %s more: see --limit, --show and --report\n",
                report_number(found - report->example_count, number));
    }
    if (report->example_count > 0)
        fputc('\n', stream);
}

static void print_lines(const struct report *report, FILE *stream)
{
    const struct survey *survey = &report->survey;
    if (survey->faults + survey->duplicates == 0)
        return;
    char faults[32], duplicates[32];
    fprintf(stream, "  %s: %s lines without a name, %s duplicates%s\n", report->names_path,
            report_number(survey->faults, faults), report_number(survey->duplicates, duplicates),
            survey->duplicates_partial ? " (at least)" : "");
    for (size_t i = 0; i < survey->example_count; i++)
        fprintf(stream, "      line %llu: %s: %s\n", (unsigned long long)survey->examples[i].line,
                survey->examples[i].reason, survey->examples[i].text);
    fputc('\n', stream);
}

static void print_verdict(const struct report *report, FILE *stream, const struct paint *paint)
{
    char first[32], second[32];
    if (report_proved(report)) {
        if (report->names_listed > 0)
            fprintf(stream, "%sPROVED%s  all %s listed names are blocked as ordered, ", paint->good,
                    paint->off, report_number(report->names_listed, first));
        else
            fprintf(stream, "%sPROVED%s  ", paint->good, paint->off);
        fprintf(stream, "0 of %s other names differ\n",
                report_number(report->names_unlisted, second));
        return;
    }
    fprintf(stream, "%sNOT PROVED%s  ", paint->bad, paint->off);
    if (report->stopped != NULL)
        fprintf(stream, "%s; ", report->stopped);
    else if (report->questions == 0)
        fprintf(stream, "there was no name to ask about; ");
    fprintf(stream, "%s listed names not blocked as ordered, ",
            report_number(report->names_listed_wrong, first));
    fprintf(stream, "%s other names differ, ",
            report_number(report->names_unlisted_different, first));
    fprintf(stream, "%s answers not comparable\n", report_number(report->not_comparable, first));
}

void report_print(const struct report *report, FILE *stream, bool colour)
{
    const struct paint *paint = colour ? &paint_colour : &paint_plain;
    print_head(report, stream);

    fprintf(stream, "  %-14s %*s\n", "", NUMBER_WIDTH, "answers");
    print_row(stream, "equal", report->equal, "as the origin answers");
    if (listing_order_count(report->listing) > 0)
        print_row(stream, "blocked", report->blocked, "listed names, as ordered");
    if (report->blocked_alias > 0)
        print_row(stream, "alias", report->blocked_alias,
                  "unlisted aliases of listed names, blocked where they lead");
    print_row(stream, "different", report->different,
              report->settled > 0 ? "after asking twice" : "");
    print_row(stream, "not comparable", report->not_comparable, "");
    if (report->settled > 0)
        print_row(stream, "settled", report->settled, "different at first, right when asked again");
    if (report->addresses_left_out > 0)
        print_row(stream, "left out", report->addresses_left_out,
                  "addresses of listed names in additional data");
    fputc('\n', stream);

    if (report->different + report->not_comparable > 0) {
        print_kinds(report, stream, paint);
        fputc('\n', stream);
        print_examples(report, stream, paint);
    }
    print_lines(report, stream);
    print_verdict(report, stream, paint);
}
