/* What it costs to tell what a flight is.
 *
 *     micro_recognise RULES [LOOKS]
 *
 * The same flights are looked at with the parsers alone and with the rules folder behind them; the
 * best of five passes counts. 50,000 flights a second leave 20 microseconds each on one core.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sink/recogniser.h"

#define LOOKS_DEFAULT 200000
#define PASSES        5 /* noise only adds */

static const char http[] =
    "GET /index.html HTTP/1.1\r\nHost: host.example\r\nUser-Agent: Mozilla/5.0 "
    "(X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0\r\n"
    "Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\n"
    "Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n";
static const char njrat_text[] = "ll|'|'|SGFjS2VkXzEyMzQ1Njc4|'|'|OFFICE02|'|'|owner|'|'|14-06-30|'"
                                 "|'||'|'|Win 7 Professional SP1 x64|'|'|No|'|'|0.7d|'|'|..|'|'|"
                                 "UHJvZ3JhbSBNYW5hZ2VyAA==|'|'|";

static void die(const char *what)
{
    fprintf(stderr, "micro_recognise: %s\n", what);
    exit(1);
}

static double clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double measure(struct recogniser *recogniser, const struct sink_flight *flight,
                      unsigned looks)
{
    struct sink_recognition recognition;
    double best_us = 0;

    for (unsigned pass = 0; pass < PASSES; pass++) {
        const double started_us = clock_us();
        for (unsigned i = 0; i < looks; i++)
            recogniser_look(recogniser, 0, flight, &recognition);
        const double took_us = (clock_us() - started_us) / looks;
        if (pass == 0 || took_us < best_us)
            best_us = took_us;
    }
    return best_us;
}

int main(int argc, char **argv)
{
    struct recogniser *parsers, *rules;
    struct error error;
    uint8_t random[1024], njrat[sizeof(njrat_text) + 8];
    char long_agent[4096];
    uint32_t state = 2014;

    if (argc < 2) {
        fprintf(stderr, "usage: micro_recognise RULES [LOOKS]\n");
        return 2;
    }
    const unsigned looks = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : LOOKS_DEFAULT;
    if (recogniser_load(NULL, 1, &parsers, &error) < 0 ||
        recogniser_load(argv[1], 1, &rules, &error) < 0)
        die(error.text);
    for (size_t i = 0; i < sizeof(random); i++) {
        state = state * 1664525 + 1013904223;
        random[i] = (uint8_t)(state >> 24);
    }
    size_t prefix = (size_t)snprintf((char *)njrat, 8, "%zu", sizeof(njrat_text) - 1) + 1;
    memcpy(njrat + prefix, njrat_text, sizeof(njrat_text) - 1);

    /* Who sends as much as is read makes the most work. */
    const int head = snprintf(long_agent, sizeof(long_agent),
                              "GET / HTTP/1.1\r\nHost: host.example\r\nUser-Agent: ");
    for (size_t i = (size_t)head; i < sizeof(long_agent) - 4; i++)
        long_agent[i] = "Mozilla/5.0 (X11; Linux) "[i % 25];
    memcpy(&long_agent[sizeof(long_agent) - 4], "\r\n\r\n", 4);

    const struct {
        const char *name;
        const void *octets;
        size_t size;
    } flights[] = {{"HTTP request", http, sizeof(http) - 1},
                   {"HTTP, 4 KiB", long_agent, sizeof(long_agent)},
                   {"njRAT check-in", njrat, prefix + sizeof(njrat_text) - 1},
                   {"random, 16 octets", random, 16},
                   {"random, 1 KiB", random, sizeof(random)}};
    printf("%-18s %12s %12s\n", "", "parsers", "with rules");
    for (size_t i = 0; i < sizeof(flights) / sizeof(flights[0]); i++) {
        const struct sink_flight flight = {.octets = flights[i].octets, .size = flights[i].size};
        const double parsers_us = measure(parsers, &flight, looks);
        printf("%-18s %9.2f us %9.2f us\n", flights[i].name, parsers_us,
               measure(rules, &flight, looks));
    }
    recogniser_free(parsers);
    recogniser_free(rules);
    return 0;
}
