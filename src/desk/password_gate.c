#include "desk/password_gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "desk/desk.h"
#include "desk/http.h"
#include "desk/password.h"

struct password_gate {
    pthread_mutex_t lock;
    pthread_cond_t left;
    unsigned workers;
    unsigned hashing_max; /* at a time */
    unsigned hashing, inside;
};

struct password_gate *password_gate_create(unsigned workers)
{
    struct password_gate *gate = calloc(1, sizeof(*gate));
    if (gate == NULL)
        return NULL;
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    gate->workers = workers;
    /* More than there are cores only share them; half of the workers at most. */
    gate->hashing_max = workers > 1 ? workers / 2 : 1;
    if (cores > 0 && gate->hashing_max > (unsigned)cores)
        gate->hashing_max = (unsigned)cores;
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->left, NULL);
    return gate;
}

void password_gate_free(struct password_gate *gate)
{
    if (gate == NULL)
        return;
    pthread_cond_destroy(&gate->left);
    pthread_mutex_destroy(&gate->lock);
    free(gate);
}

static int enter(struct password_gate *gate, const struct request *request, struct error *ret_error)
{
    struct http_figures figures;
    http_figures_get(request_desk(request)->http, &figures);

    pthread_mutex_lock(&gate->lock);
    const bool is_last_worker = gate->workers > 1 && gate->inside + 1 >= gate->workers;
    const bool may_enter = !is_last_worker || figures.queued == 0;
    if (may_enter) {
        gate->inside++;
        while (gate->hashing == gate->hashing_max)
            pthread_cond_wait(&gate->left, &gate->lock);
        gate->hashing++;
    }
    pthread_mutex_unlock(&gate->lock);
    return may_enter
               ? 0
               : error_set(ret_error, -EAGAIN, "many sign in just now: try again in a moment");
}

static void leave(struct password_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->inside--;
    gate->hashing--;
    pthread_cond_signal(&gate->left);
    pthread_mutex_unlock(&gate->lock);
}

int password_gate_match(struct password_gate *gate, const struct request *request,
                        const char *password, const char *hash, bool *ret_matches,
                        struct error *ret_error)
{
    int rc = enter(gate, request, ret_error);
    if (rc < 0)
        return rc;
    *ret_matches = password_matches(password, hash);
    leave(gate);
    return 0;
}

int password_gate_hash(struct password_gate *gate, const struct request *request,
                       const char *password, char *ret_hash, struct error *ret_error)
{
    int rc = enter(gate, request, ret_error);
    if (rc < 0)
        return rc;
    rc = password_hash(password, ret_hash, ret_error);
    leave(gate);
    return rc;
}
