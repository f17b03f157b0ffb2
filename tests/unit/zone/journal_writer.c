/* Writes to the journal in FOLDER, commits of 1 to SIZE octets, until it is killed or COUNT writes
 * are done, and prints each serial once it is durable, or "error CODE" and goes on. Each write is a
 * commit of a.example, every other one of b.example as well. */
#include "journal_fixture.h"

static uint32_t last_serial(struct journal *journal, const uint8_t *apex)
{
    uint32_t first, last;
    return journal_range(journal, apex, &first, &last) == 0 ? last : 1;
}

static int write_next(struct journal *journal, uint32_t serial_a, uint32_t serial_b, size_t size,
                      struct error *ret_error)
{
    uint8_t *octets = malloc(2 * size);
    if (octets == NULL)
        return -ENOMEM;
    fill_octets(octets, size, serial_a);
    fill_octets(octets + size, size, serial_b);
    const struct commit commits[2] = {
        {apex_a, serial_a, serial_a + 1, 1, COMMIT_UPDATE, authors_two, 2, octets, size},
        {apex_b, serial_b, serial_b + 1, 1, COMMIT_UPDATE, authors_two, 2, octets + size, size},
    };
    int rc = journal_write(journal, commits, 1 + serial_a % 2, ret_error);
    free(octets);
    return rc;
}

/* Keeping up as a server does whose snapshots follow. */
static int keep(struct journal *journal, uint32_t serial_a, uint32_t serial_b)
{
    int rc = journal_kept(journal, apex_a, serial_a, NULL);
    return rc == 0 ? journal_kept(journal, apex_b, serial_b, NULL) : rc;
}

int main(int count, char **arguments)
{
    struct error error = {.code = 0};
    struct journal *journal;
    if (count != 4 || journal_open(arguments[1], &limits_writer, &journal, &error) < 0) {
        error_print(stderr, "journal_writer", &error);
        return 2;
    }
    const unsigned long writes = strtoul(arguments[2], NULL, 10);
    const size_t size_max = strtoul(arguments[3], NULL, 10);
    uint32_t serial_a = last_serial(journal, apex_a), serial_b = last_serial(journal, apex_b);
    srandom((unsigned)getpid());
    for (unsigned long i = 0; writes == 0 || i < writes; i++) {
        size_t size = 1 + (size_t)random() % (random() % 64 == 0 ? size_max : size_max / 64 + 1);
        int rc = write_next(journal, serial_a, serial_b, size, &error);
        if (rc == 0 && i % 16 == 15)
            (void)keep(journal, serial_a, serial_b);
        if (rc == 0) {
            serial_b += serial_a % 2;
            serial_a++;
            dprintf(STDOUT_FILENO, "%" PRIu32 "\n", serial_a);
        } else {
            dprintf(STDOUT_FILENO, "error %d\n", rc);
        }
    }
    journal_close(journal);
    return 0;
}
