/* The corpora of first packets: two sets of files without an error, the held out lines, which were
 * written from other sources before the parsers ran on them, by their recall. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "packets.h"

#define PACKET_SIZE_MAX 65536

static void check_file(const char *path, const char *expected, unsigned *failures)
{
    static uint8_t octets[PACKET_SIZE_MAX];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(octets, 1, sizeof(octets), file);
    fclose(file);

    /* A copy of the exact size: the address sanitizer then sees a read beyond its end. */
    uint8_t *exact = malloc(size > 0 ? size : 1);
    assert_non_null(exact);
    memcpy(exact, octets, size);
    struct sink_recognition recognition;
    char word[64];
    packet_recognise(exact, size, &recognition);
    if (strcmp(packet_word(&recognition, word), expected) != 0) {
        print_message("%s: %s\n", path, word);
        (*failures)++;
    }
    free(exact);
}

/* Returns the number of packets. */
static unsigned check_folder(const char *folder, const char *expected, unsigned *failures)
{
    DIR *directory = opendir(folder);
    unsigned count = 0;
    assert_non_null(directory);
    for (const struct dirent *item; (item = readdir(directory)) != NULL;) {
        if (item->d_name[0] == '.')
            continue;
        char path[1024];
        snprintf(path, sizeof(path), "%s/%s", folder, item->d_name);
        check_file(path, expected, failures);
        count++;
    }
    closedir(directory);
    return count;
}

static void check_corpus(const char *corpus, unsigned packets_min, unsigned folders_min)
{
    unsigned failures = 0, count = 0, folders = 0;
    DIR *directory = opendir(corpus);
    assert_non_null(directory);
    for (const struct dirent *item; (item = readdir(directory)) != NULL;) {
        char folder[512];
        if (item->d_type != DT_DIR || item->d_name[0] == '.')
            continue;
        snprintf(folder, sizeof(folder), "%s/%s", corpus, item->d_name);
        count += check_folder(folder, item->d_name, &failures);
        folders++;
    }
    closedir(directory);
    print_message("%u packets in %u folders, %u wrong\n", count, folders, failures);
    assert_true(count >= packets_min && folders >= folders_min);
    assert_int_equal(failures, 0);
}

static void test_every_packet_of_the_corpus_is_what_its_folder_says(void **state)
{
    (void)state;
    check_corpus(TESTS_FOLDER "/sink-corpus", 450, 17);
}

static void test_every_packet_of_the_second_corpus_is_what_its_folder_says(void **state)
{
    (void)state;
    check_corpus(TESTS_FOLDER "/sink-corpus-second", 750, 17);
}

static unsigned hex_value(char digit)
{
    const char *digits = "0123456789abcdef";
    return (unsigned)(strchr(digits, digit) - digits);
}

static size_t unescape(const char *text, uint8_t *ret_octets)
{
    size_t size = 0;
    for (; *text != '\0' && *text != '\n'; text++) {
        if (*text != '\\') {
            ret_octets[size++] = (uint8_t)*text;
            continue;
        }
        text++;
        if (*text == 'x') {
            ret_octets[size++] = (uint8_t)(hex_value(text[1]) * 16 + hex_value(text[2]));
            text += 2;
        } else {
            ret_octets[size++] = *text == '0'   ? '\0'
                                 : *text == 'r' ? '\r'
                                 : *text == 'n' ? '\n'
                                                : (uint8_t)*text;
        }
    }
    return size;
}

static void test_of_the_held_out_packets_95_in_100_are_known_and_none_is_a_false_victim(
    void **state)
{
    (void)state;
    static char line[PACKET_SIZE_MAX];
    static uint8_t octets[PACKET_SIZE_MAX];
    unsigned victims = 0, known = 0, others = 0, false_victims = 0;
    FILE *file = fopen(TESTS_FOLDER "/sink-holdout/packets.txt", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        char *tab = strchr(line, '\t'), word[64];
        if (line[0] == '#' || tab == NULL)
            continue;
        *tab = '\0';
        struct sink_recognition recognition;
        packet_recognise(octets, unescape(tab + 1, octets), &recognition);
        bool right = strcmp(packet_word(&recognition, word), line) == 0;
        if (!right)
            print_message("%s, taken for %s: %s", line, word, tab + 1);
        if (strncmp(line, "nj", 2) == 0 || strncmp(line, "hworm", 5) == 0) {
            victims++;
            known += right;
        } else {
            others++;
            false_victims += packet_is_victim(&recognition);
        }
    }
    fclose(file);
    print_message("%u of %u known, %u of %u others taken for victims\n", known, victims,
                  false_victims, others);
    assert_true(victims >= 60 && others >= 25);
    assert_true(known * 100 >= victims * 95);
    assert_int_equal(false_victims, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_packet_of_the_corpus_is_what_its_folder_says),
        cmocka_unit_test(test_every_packet_of_the_second_corpus_is_what_its_folder_says),
        cmocka_unit_test(
            test_of_the_held_out_packets_95_in_100_are_known_and_none_is_a_false_victim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
