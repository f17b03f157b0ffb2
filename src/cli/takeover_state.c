#include "cli/takeover_state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file_text.h"
#include "order/timestamp.h"

#define STATE_VERSION  1
#define STATE_SIZE_MAX ((size_t)64 << 20)

static const char *const words[STEPS] = {"new",    "planned", "copied", "shadowed",  "gate open",
                                         "canary", "proven",  "taken",  "returning", "returned"};

const char *step_word(enum takeover_step step)
{
    return words[step];
}

static void state_path(const struct takeover *takeover, const char *name, char ret_path[PATH_MAX])
{
    snprintf(ret_path, PATH_MAX, "%s/%s", takeover->plan->state, name);
}

void takeover_path(const struct takeover *takeover, const struct plan_domain *domain,
                   const char *ending, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/%s.%s", takeover->plan->state, domain->name, ending);
}

/* Who gave the command: with sudo, the person behind it. */
static void user_find(char *ret_user, size_t size)
{
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *entry = getpwuid(getuid());
    if (sudo != NULL && sudo[0] != '\0')
        snprintf(ret_user, size, "%s", sudo);
    else if (entry != NULL)
        snprintf(ret_user, size, "%s", entry->pw_name);
    else
        snprintf(ret_user, size, "uid %u", (unsigned)getuid());
}

static int state_check(const json_t *state, const char *path, struct error *ret_error)
{
    if (!json_is_object(json_object_get(state, "domains")) ||
        json_integer_value(json_object_get(state, "version")) != STATE_VERSION)
        return error_set_at(ret_error, -EINVAL, path, 0,
                            "is no state of a takeover that this version writes: name another "
                            "'state' folder in the plan");
    return 0;
}

static int state_read(struct takeover *takeover, struct error *ret_error)
{
    char path[PATH_MAX];
    struct file_text text = {0};
    struct stat status;
    json_error_t fault;
    json_t *state;

    state_path(takeover, "takeover.json", path);
    /* Missing, or empty as a kill left it between its making and its first content. */
    if (stat(path, &status) < 0 || status.st_size == 0) {
        state = json_pack("{s:i, s:{}}", "version", STATE_VERSION, "domains");
    } else {
        int rc = file_text_read(path, STATE_SIZE_MAX, &text, ret_error);
        if (rc < 0)
            return rc;
        state = json_loadb(text.octets, text.size, 0, &fault);
        file_text_clear(&text);
        if (state == NULL)
            return error_set_at(ret_error, -EINVAL, path, (uint32_t)fault.line,
                                "is damaged: %s; the log beside it tells what was done",
                                fault.text);
    }
    int rc = state != NULL ? state_check(state, path, ret_error)
                           : error_set(ret_error, -ENOMEM, "out of memory");
    if (rc < 0) {
        json_decref(state);
        return rc;
    }
    json_decref(takeover->state);
    takeover->state = state;
    return 0;
}

int takeover_open(const char *plan_path, struct takeover **ret_takeover, struct error *ret_error)
{
    _cleanup_(takeover_closep) struct takeover *takeover = calloc(1, sizeof(*takeover));
    if (takeover == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    takeover->lock = -1;
    int rc = plan_load(plan_path, &takeover->plan, ret_error);
    if (rc < 0)
        return rc;
    user_find(takeover->user, sizeof(takeover->user));
    if (mkdir(takeover->plan->state, 0750) < 0 && errno != EEXIST)
        return error_set_at(ret_error, -errno, takeover->plan->state, 0,
                            "the state folder cannot be made: %s", strerror(errno));
    rc = state_read(takeover, ret_error);
    if (rc < 0)
        return rc;
    *ret_takeover = TAKE(takeover);
    return 0;
}

void takeover_close(struct takeover *takeover)
{
    if (takeover == NULL)
        return;
    takeover_unlock(takeover);
    json_decref(takeover->state);
    plan_free(takeover->plan);
    free(takeover);
}

int takeover_lock(struct takeover *takeover, struct error *ret_error)
{
    char path[PATH_MAX];

    state_path(takeover, "lock", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        int rc = error_set_at(ret_error, -errno, path, 0, "cannot be locked: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    takeover->lock = fd;
    int rc = state_read(takeover, ret_error);
    if (rc < 0)
        takeover_unlock(takeover);
    return rc;
}

void takeover_unlock(struct takeover *takeover)
{
    if (takeover->lock >= 0)
        close(takeover->lock);
    takeover->lock = -1;
}

int takeover_save(struct takeover *takeover, struct error *ret_error)
{
    char path[PATH_MAX];

    state_path(takeover, "takeover.json", path);
    char *text = json_dumps(takeover->state, JSON_INDENT(1));
    int rc = text == NULL ? error_set(ret_error, -ENOMEM, "out of memory") : 0;
    if (rc == 0 && access(path, F_OK) < 0)
        rc = file_text_create(path, 0640, "", 0, ret_error);
    if (rc == 0)
        rc = file_text_replace(path, text, strlen(text), ret_error);
    free(text);
    takeover_unlock(takeover);
    return rc;
}

json_t *takeover_domain(const struct takeover *takeover, const struct plan_domain *domain)
{
    json_t *domains = json_object_get(takeover->state, "domains");
    json_t *object = json_object_get(domains, domain->name);
    if (object == NULL) {
        object = json_object();
        json_object_set_new(domains, domain->name, object);
    }
    return object;
}

enum takeover_step takeover_step(const struct takeover *takeover, const struct plan_domain *domain)
{
    const char *word =
        json_string_value(json_object_get(takeover_domain(takeover, domain), "step"));
    for (enum takeover_step step = 0; step < STEPS && word != NULL; step++)
        if (strcmp(words[step], word) == 0)
            return step;
    return STEP_NEW;
}

void takeover_step_set(struct takeover *takeover, const struct plan_domain *domain,
                       enum takeover_step step)
{
    json_t *object = takeover_domain(takeover, domain);
    json_object_set_new(object, "step", json_string(words[step]));
    json_object_set_new(object, "since", json_integer((json_int_t)time(NULL)));
}

static int log_append(const char *path, const char *line, struct error *ret_error)
{
    /* One write of a whole line with O_APPEND: lines of several processes never mix. */
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    size_t size = strlen(line);
    int rc = 0;
    if (fd < 0 || write(fd, line, size) != (ssize_t)size || fsync(fd) < 0)
        rc = error_set_at(ret_error, -errno, path, 0, "cannot write the log: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

int takeover_log(const struct takeover *takeover, const struct plan_domain *domain,
                 const char *step, struct error *ret_error, const char *format, ...)
{
    char path[PATH_MAX], time_text[TIMESTAMP_SIZE], result[1024], *line = NULL;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(result, sizeof(result), format, arguments);
    va_end(arguments);
    timestamp_write((int64_t)time(NULL), time_text);
    json_t *entry =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "time", time_text, "user", takeover->user, "domain",
                  domain->name, "step", step, "result", result);
    char *text = json_dumps(entry, JSON_COMPACT);
    json_decref(entry);
    if (text == NULL || asprintf(&line, "%s\n", text) < 0) {
        free(text);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    state_path(takeover, "log", path);
    int rc = log_append(path, line, ret_error);
    free(text);
    free(line);
    return rc;
}
