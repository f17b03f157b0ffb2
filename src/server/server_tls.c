/* The server's certificate: loaded at the start, read again with every reload, watched for its end.
 */
#include <errno.h>
#include <time.h>

#include "order/timestamp.h"
#include "server/log.h"
#include "server/server_internal.h"

static struct tls_files tls_files(const struct config *config)
{
    return (struct tls_files){.certificate = config->tls.certificate,
                              .key = config->tls.key,
                              .ca = config->tls.client_ca};
}

/* Whether the certificate has ended, and what to say of it. */
static bool has_expired(const struct config *config, int64_t expires_at, struct error *ret_warning)
{
    char text[TIMESTAMP_SIZE];
    if (expires_at > time(NULL))
        return false;
    error_set_at(ret_warning, -EKEYEXPIRED, config->tls.certificate, 0,
                 "the certificate has expired at %s: renew it and reload; clients that look turn "
                 "away",
                 timestamp_write(expires_at, text));
    return true;
}

/* Tells what works and should not be. */
static void tell_warnings(const struct config *config, const struct tls_server *tls,
                          server_report_fn *report, void *context)
{
    struct error warning;
    for (size_t i = 0; i < config->warning_count; i++)
        report(context, &config->warnings[i]);
    if (tls != NULL && has_expired(config, tls_server_expires_at(tls), &warning))
        report(context, &warning);
}

static void log_warning(void *context, const struct error *warning)
{
    char text[sizeof(warning->file) + sizeof(warning->text) + 16];
    (void)context;
    server_log(LOG_WARNING, "%s", error_format(warning, text, sizeof(text)));
}

static void log_certificate(const struct config *config, const struct tls_server *tls)
{
    char text[TIMESTAMP_SIZE];
    server_log(LOG_INFO, "TLS: certificate %s, valid until %s", config->tls.certificate,
               timestamp_write(tls_server_expires_at(tls), text));
}

int server_tls_start(struct server *server, struct error *ret_error)
{
    const struct config *config = server->config;
    if (config->tls.listen_count > 0) {
        const struct tls_files files = tls_files(config);
        int rc = tls_server_create(&files, &server->tls, ret_error);
        if (rc < 0)
            return rc;
        log_certificate(config, server->tls);
    }
    tell_warnings(config, server->tls, log_warning, NULL);
    return 0;
}

void server_tls_reload(struct server *server, const struct config *config, server_report_fn *find,
                       server_report_fn *note, void *context)
{
    struct error error;
    const struct tls_files files = tls_files(config);
    const bool serves = server->tls != NULL && files.certificate != NULL;

    int rc = serves ? tls_server_reload(server->tls, &files, &error) : 0;
    if (rc > 0)
        log_certificate(config, server->tls);
    if (rc < 0) {
        struct error finding;
        error_set_at(&finding, error.code, error.file, error.line,
                     "%.400s; TLS goes on with the certificate that it has", error.text);
        find(context, &finding);
    }
    tell_warnings(config, serves ? server->tls : NULL, note, context);
}

int server_tls_check(const struct config *config, server_report_fn *note, void *context,
                     struct error *ret_error)
{
    struct tls_server *tls = NULL;
    const struct tls_files files = tls_files(config);
    int rc = files.certificate != NULL ? tls_server_create(&files, &tls, ret_error) : 0;
    tell_warnings(config, tls, note, context);
    tls_server_free(tls);
    return rc;
}
