#include "desk/figures.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Nearest rank: of c values in order the median is that in place ceil(c / 2), the 95th percentile
 * that in place ceil(0.95 c). `events` has one row for each: key, measure, seconds, when. */
#define RANKED(events)                                                                         \
    "WITH bounds AS (SELECT CAST($1 AS BIGINT) AS since, CAST($2 AS BIGINT) AS until), "       \
    "events AS (" events "), "                                                                 \
    "ranked AS (SELECT key, measure, seconds, ROW_NUMBER() OVER (PARTITION BY key, measure "   \
    "ORDER BY seconds) AS place, COUNT(*) OVER (PARTITION BY key, measure) AS n FROM events, " \
    "bounds WHERE at >= since AND at < until) "                                                \
    "SELECT key, measure, MAX(n), MAX(CASE WHEN place = (n + 1) / 2 THEN seconds END), "       \
    "MAX(CASE WHEN place = (95 * n + 99) / 100 THEN seconds END) FROM ranked "                 \
    "GROUP BY key, measure ORDER BY key, measure"

/* A duplicate counts on the first report, and a name that is not ours is nothing to decide. */
#define REPORT_EVENTS(key)                                                                \
    "SELECT " key " AS key, 'received' AS measure, 0 AS seconds, received_at AS at FROM " \
    "reports UNION ALL SELECT " key ", 'acknowledge', acknowledged_at - received_at, "    \
    "acknowledged_at FROM reports UNION ALL SELECT " key ", 'decide', decided_at - "      \
    "received_at, decided_at FROM reports WHERE decided_at IS NOT NULL AND state NOT IN " \
    "('duplicate', 'not-ours') UNION ALL SELECT " key ", 'act', acted_at - received_at, " \
    "acted_at FROM reports WHERE acted_at IS NOT NULL AND state NOT IN ('duplicate', "    \
    "'not-ours')"

#define APPEAL_EVENTS                                                                           \
    "SELECT against AS key, 'received' AS measure, 0 AS seconds, proven_at AS at FROM appeals " \
    "WHERE proven_at IS NOT NULL UNION ALL SELECT against, 'decide', decided_at - proven_at, "  \
    "decided_at FROM appeals WHERE decided_at IS NOT NULL UNION ALL SELECT against, state, 0, " \
    "decided_at FROM appeals WHERE decided_at IS NOT NULL"

static int ranked_query(struct store *store, enum figures_by by, int64_t from_s, int64_t to_s,
                        struct store_rows **ret_rows, struct error *ret_error)
{
    static const char *const texts[] = {
        [FIGURES_ALL] = RANKED(REPORT_EVENTS("'all'")),
        [FIGURES_CLASS] = RANKED(REPORT_EVENTS("class")),
        [FIGURES_REPORTER] = RANKED(REPORT_EVENTS("reporter")),
        [FIGURES_APPEALS] = RANKED(APPEAL_EVENTS),
    };
    return store_query(store, ret_rows, ret_error, texts[by], store_integer(from_s),
                       store_integer(to_s));
}

/* Measures that count and take no time. */
static bool is_count(const char *measure)
{
    return strcmp(measure, "received") == 0 || strcmp(measure, "granted") == 0 ||
           strcmp(measure, "denied") == 0;
}

int figures_get(struct store *store, enum figures_by by, int64_t from_s, int64_t to_s,
                json_t **ret_figures, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    int rc = ranked_query(store, by, from_s, to_s, &rows, ret_error);
    if (rc < 0)
        return rc;
    json_t *figures = json_object();
    for (size_t i = 0; i < store_rows_count(rows); i++) {
        const char *key = store_row_text(rows, i, 0), *measure = store_row_text(rows, i, 1);
        json_t *of_key = json_object_get(figures, key);
        if (of_key == NULL) {
            of_key = json_object();
            json_object_set_new(figures, key, of_key);
        }
        json_int_t count = store_row_integer(rows, i, 2);
        json_object_set_new(of_key, measure,
                            is_count(measure)
                                ? json_integer(count)
                                : json_pack("{s:I, s:I, s:I}", "count", count, "median",
                                            (json_int_t)store_row_integer(rows, i, 3), "p95",
                                            (json_int_t)store_row_integer(rows, i, 4)));
    }
    *ret_figures = figures;
    return 0;
}

/* ---- Months ---- */

bool figures_month_parse(const char *text, int64_t *ret_from_s, int64_t *ret_to_s)
{
    if (strlen(text) != 7 || strspn(text, "0123456789") != 4 || text[4] != '-' ||
        strspn(text + 5, "0123456789") != 2)
        return false;
    int year =
        (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + text[3] - '0';
    int month = (text[5] - '0') * 10 + text[6] - '0';
    if (year < 1970 || month < 1 || month > 12)
        return false;
    struct tm first = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 1};
    struct tm next = {.tm_year = year - 1900, .tm_mon = month, .tm_mday = 1};
    *ret_from_s = timegm(&first);
    *ret_to_s = timegm(&next);
    return true;
}

void figures_month_text(int64_t time_s, char ret_text[static FIGURES_MONTH_SIZE])
{
    time_t time = (time_t)time_s;
    struct tm tm;
    gmtime_r(&time, &tm);
    strftime(ret_text, FIGURES_MONTH_SIZE, "%Y-%m", &tm);
}
