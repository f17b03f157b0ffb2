/* Mails as octets: no value ends a header, a reader gets the text back; and what bounces say. */
#include <errno.h>
#include <gmime/gmime.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "desk/mail.h"
#include "desk/mail_compose.h"
#include "desk/migrations.h"
#include "desk/store.h"

static char path[] = "/tmp/tamis-test-mail-XXXXXX";
static const struct store_place place = {.driver = &store_sqlite, .path = path};
static struct store *store;

static int open_new(void **state)
{
    size_t applied;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    g_mime_init();
    assert_int_equal(store_open(&place, &store, NULL), 0);
    return migrations_apply(store, &applied, NULL);
}

static int close_and_remove(void **state)
{
    static const char *const endings[] = {"", "-wal", "-shm", ".lock"};
    (void)state;
    store_close(store);
    g_mime_shutdown();
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        char file[64];
        snprintf(file, sizeof(file), "%s%s", path, endings[i]);
        unlink(file);
    }
    return 0;
}

/* ---- Composing ---- */

static const struct mail_message plain = {
    .id = "mai_1.secret",
    .from = "abuse@desk.example",
    .to = "ann@customer.example",
    .subject = "A notice",
    .text = "Hello.\n",
    .date_s = 1700000000,
};

static char *composed(const struct mail_message *message)
{
    char *octets;
    size_t size;
    assert_int_equal(mail_compose(message, &octets, &size), 0);
    assert_int_equal(strlen(octets), size);
    /* Line ends are CRLF, and no line is longer than RFC 5322 allows. */
    for (const char *line = octets; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        assert_true(length > 0 && line[length] == '\n' && line[length - 1] == '\r');
        assert_true(length <= 998);
        line += length + 1;
    }
    return octets;
}

static void a_mail_has_the_headers_that_it_needs(void **state)
{
    (void)state;
    char *octets = composed(&plain);
    assert_string_equal(octets, "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
                                "From: <abuse@desk.example>\r\n"
                                "To: <ann@customer.example>\r\n"
                                "Subject: A notice\r\n"
                                "Message-ID: <mai_1.secret@desk.example>\r\n"
                                "Auto-Submitted: auto-generated\r\n"
                                "MIME-Version: 1.0\r\n"
                                "Content-Type: text/plain; charset=utf-8; format=flowed\r\n"
                                "Content-Transfer-Encoding: 7bit\r\n"
                                "\r\n"
                                "Hello.\r\n");
    free(octets);
}

static void no_subject_and_no_name_adds_a_header(void **state)
{
    static const char *const hostile[] = {
        "x\r\nBcc: eve@example.org", "x\nBcc: eve@example.org",    "x\r\n\r\nbody",
        "=?utf-8?q?=0D=0ABcc:_x?=",  "\"\r\nBcc: eve@example.org", "\\\" <eve@example.org>",
        "\xc3\xa4\r\nBcc: eve",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        struct mail_message message = plain;
        message.subject = hostile[i];
        message.from_name = hostile[i];
        char *octets = composed(&message);
        char *end = strstr(octets, "\r\n\r\n");
        assert_non_null(end);
        assert_string_equal(end, "\r\n\r\nHello.\r\n");
        *end = '\0';
        assert_null(strstr(octets, "\nBcc"));
        assert_null(strstr(octets, "=0D"));
        free(octets);
    }
}

static void an_encoded_word_never_cuts_a_character(void **state)
{
    struct mail_message message = plain;
    char subject[200] = "", decoded[200] = "";
    (void)state;
    for (size_t i = 0; i < 60; i++)
        strcat(subject, i % 2 == 0 ? "\xe2\x82\xac" : "a");
    message.subject = subject;
    char *octets = composed(&message);
    /* Each word by itself is whole characters (RFC 2047, 5), and all of them are the subject. */
    for (const char *word = octets; (word = strstr(word, "=?UTF-8?B?")) != NULL; word++) {
        gsize size;
        assert_true(strcspn(word, "\r") <= 75);
        char *base64 = g_strndup(word + 10, strcspn(word + 10, "?"));
        guchar *raw = g_base64_decode(base64, &size);
        assert_true(g_utf8_validate((char *)raw, (gssize)size, NULL));
        strncat(decoded, (char *)raw, size);
        g_free(raw);
        g_free(base64);
    }
    assert_string_equal(decoded, subject);
    free(octets);
}

static void text_flows_and_quotes_what_is_not_ascii(void **state)
{
    struct mail_message message = plain;
    (void)state;
    message.text = " from a blank\n>quote\nFrom me\nends with blanks  \n";
    char *octets = composed(&message);
    assert_non_null(strstr(octets, "\r\n\r\n  from a blank\r\n >quote\r\n From me\r\n"
                                   "ends with blanks\r\n"));
    free(octets);
    message.text = "a = \xc3\xa4\n";
    octets = composed(&message);
    assert_non_null(strstr(octets, "Content-Transfer-Encoding: quoted-printable\r\n"));
    assert_non_null(strstr(octets, "\r\n\r\na =3D =C3=A4\r\n"));
    free(octets);
    /* A word longer than a line may be. */
    char word[3000];
    memset(word, 'x', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    message.text = word;
    free(composed(&message));
}

/* ---- Into the outbox ---- */

static int put_do(struct store *open_store, void *context, struct error *ret_error)
{
    return mail_put(open_store, 1700000000000, context, ret_error);
}

static int put(const char *to, const char *subject, const char *text)
{
    struct mail mail = {.to = to, .subject = subject, .text = text};
    return store_transact(store, put_do, &mail, NULL);
}

static void what_cannot_be_a_mail_is_refused(void **state)
{
    static const char *const addresses[] = {
        "",
        "ann",
        "@x.example",
        "ann@",
        "a b@x.example",
        "ann@x.example\r\nBcc: eve@example.org",
        "ann@x.example>,<eve@example.org",
        "ann,eve@x.example",
        "\xc3\xa4@x.example",
        "ann@-x.example",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
        assert_int_equal(put(addresses[i], "s", "t"), -EINVAL);
    assert_int_equal(put("ann@x.example", "two\nlines", "t"), -EINVAL);
    assert_int_equal(put("ann@x.example", "s", "no UTF-8: \xff"), -EINVAL);
    assert_int_equal(put("Ann@B\xc3\xbc"
                         "cher.example",
                         "s", "t"),
                     0);
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    assert_int_equal(store_query(store, &rows, NULL,
                                 "SELECT address, state FROM mails WHERE $1 = 1", store_integer(1)),
                     0);
    assert_int_equal(store_rows_count(rows), 1);
    assert_string_equal(store_row_text(rows, 0, 0), "ann@xn--bcher-kva.example");
    assert_string_equal(store_row_text(rows, 0, 1), "waiting");
}

/* ---- Bounces ---- */

static const char bounce_format[] =
    "From: Mail Delivery System <mailer-daemon@mta.example>\r\n"
    "To: abuse@desk.example\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/report; report-type=%s; boundary=b\r\n\r\n"
    "--b\r\n\r\nSorry.\r\n"
    "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; mta.example\r\n\r\n"
    "Final-Recipient: rfc822; ann@x.example\r\nAction: %s\r\nStatus: %s\r\n\r\n"
    "--b\r\nContent-Type: %s\r\n\r\n"
    "Message-ID: <%s@desk.example>\r\nSubject: x\r\n\r\n--b--\r\n";

static int bounce(const char *kind, const char *action, const char *status, const char *type,
                  const char *id)
{
    char octets[2048];
    int size = snprintf(octets, sizeof(octets), bounce_format, kind, action, status, type, id);
    assert_true(size > 0 && (size_t)size < sizeof(octets));
    return mail_bounce_take(store, 1700000000000, octets, (size_t)size, NULL);
}

static void sent(const char *id, const char *address)
{
    assert_int_equal(store_change(store, NULL, NULL,
                                  "INSERT INTO mails (id, outbox, address, subject, state, "
                                  "created_at) VALUES ($1, '', $2, 's', 'sent', 1699999999)",
                                  store_text(id), store_text(address)),
                     0);
}

static bool is_suppressed(const char *address)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    assert_int_equal(store_query(store, &rows, NULL,
                                 "SELECT 1 FROM suppressions WHERE address = $1",
                                 store_text(address)),
                     0);
    return store_rows_count(rows) > 0;
}

static void only_a_bounce_that_shows_the_secret_marks_an_address(void **state)
{
    static const char mail[] = "mai_a.secret";
    (void)state;
    sent(mail, "ann@x.example");
    assert_int_equal(bounce("disposition-notification", "failed", "5.1.1", "message/rfc822", mail),
                     0);
    assert_int_equal(bounce("delivery-status", "failed", "5.1.1", "message/rfc822", "mai_a.guess"),
                     1);
    assert_int_equal(bounce("delivery-status", "delayed", "4.4.1", "message/rfc822", mail), 1);
    assert_int_equal(bounce("delivery-status", "failed", "5.1.1", "text/plain", mail), 1);
    assert_false(is_suppressed("ann@x.example"));
    assert_int_equal(bounce("delivery-status", "failed", "5.1.1", "message/rfc822", mail), 1);
    assert_true(is_suppressed("ann@x.example"));
}

static void a_full_mailbox_is_given_up_at_the_third_bounce(void **state)
{
    static const char *const mails[] = {"mai_b.1", "mai_b.2", "mai_b.3"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        sent(mails[i], "bob@x.example");
        assert_false(is_suppressed("bob@x.example"));
        assert_int_equal(bounce("delivery-status", "failed", "5.2.2 (mailbox full)",
                                "text/rfc822-headers", mails[i]),
                         1);
    }
    assert_true(is_suppressed("bob@x.example"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mail_has_the_headers_that_it_needs),
        cmocka_unit_test(no_subject_and_no_name_adds_a_header),
        cmocka_unit_test(an_encoded_word_never_cuts_a_character),
        cmocka_unit_test(text_flows_and_quotes_what_is_not_ascii),
        cmocka_unit_test(what_cannot_be_a_mail_is_refused),
        cmocka_unit_test(only_a_bounce_that_shows_the_secret_marks_an_address),
        cmocka_unit_test(a_full_mailbox_is_given_up_at_the_third_bounce),
    };
    return cmocka_run_group_tests(tests, open_new, close_and_remove);
}
