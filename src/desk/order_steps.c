/* The steps of an order's life as requests. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/change.h"
#include "desk/desk_order_internal.h"
#include "desk/interest.h"

#define EXEMPT_MAX 1000 /* names of one amendment */

/* A step: what it is to do, and to which order. */
struct step {
    struct request *request;
    struct change change;
    struct order_row row; /* as the transaction finds it */
    int64_t due_s;
    const struct order_figures *figures;
    const char *reason, *reference;
    const json_t *exempt;
    char *document;
    struct order *loaded; /* the document */
    size_t count;
    const char *name;
    int (*work)(struct step *step, struct store *store, struct error *ret_error);
};

static int step_do(struct store *store, void *context, struct error *ret_error)
{
    struct step *step = context;
    int rc = order_row_get(store, request_param(step->request, "id"), &step->row, ret_error);
    return rc < 0 ? rc : step->work(step, store, ret_error);
}

/* Runs the step, tells the servers, and answers with the order. */
static int step_run(struct step *step, struct reply *reply, struct error *ret_error)
{
    struct request *request = step->request;

    step->change = change_of_request(request);
    int rc = request_transact(request, step_do, step, ret_error);
    if (rc < 0)
        return rc;
    desk_orders_settle(request_desk(request));
    return order_reply(request, reply, 200, step->row.id, ret_error);
}

/* Before the step, and kept whatever comes of it: who is interested in the order's names. */
static int step_compare(struct step *step, struct error *ret_error)
{
    struct request *request = step->request;
    const struct change change = change_of_request(request);
    struct store *store = request_store(request);
    int rc = order_row_get(store, request_param(request, "id"), &step->row, ret_error);
    return rc < 0 ? rc
                  : interest_order_check(request_desk(request), store, &change, step->row.id,
                                         ret_error);
}

/* ---- Rehearsals ---- */

static int rehearsed_work(struct step *step, struct store *store, struct error *ret_error)
{
    return order_rehearsed(store, &step->change, &step->row, step->figures, ret_error);
}

int order_rehearsals_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(order_rehearsal_freep) struct order_rehearsal *rehearsal = NULL;
    struct order_figures figures = {0};
    struct step step = {.request = request, .figures = &figures, .work = rehearsed_work};

    int rc = step_compare(&step, ret_error);
    if (rc == 0)
        rc = order_rehearse(request_desk(request), request_store(request), &step.row, &rehearsal,
                            &figures, ret_error);
    if (rc == 0)
        rc = step_run(&step, reply, ret_error);
    json_decref(figures.json);
    if (rc == -EHOSTUNREACH || rc == -EBUSY)
        return reply_problem(reply, 503, "rehearsal", "try again later", NULL, "%s",
                             ret_error->text);
    return rc;
}

/* ---- Notice, approval, activation ---- */

static int notified_work(struct step *step, struct store *store, struct error *ret_error)
{
    return order_notify(request_desk(step->request), store, &step->change, &step->row, step->due_s,
                        ret_error);
}

int order_notifications_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct step step = {.request = request, .work = notified_work};
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0 && json_in_has(&in, "delay_until"))
        rc = json_in_time(&in, "delay_until", &step.due_s, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    return rc < 0 ? rc : step_run(&step, reply, ret_error);
}

static int approved_work(struct step *step, struct store *store, struct error *ret_error)
{
    return order_approve(request_desk(step->request), store, &step->change, &step->row, ret_error);
}

int order_approvals_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct step step = {.request = request, .work = approved_work};
    return step_run(&step, reply, ret_error);
}

static int activated_work(struct step *step, struct store *store, struct error *ret_error)
{
    return order_activate(request_desk(step->request), store, &step->change, &step->row, ret_error);
}

int order_activations_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct step step = {.request = request, .work = activated_work};
    int rc = step_compare(&step, ret_error);
    return rc < 0 ? rc : step_run(&step, reply, ret_error);
}

/* ---- Lifting ---- */

static int lifted_work(struct step *step, struct store *store, struct error *ret_error)
{
    return desk_order_lift(request_desk(step->request), store, &step->change, step->row.id,
                           step->reason, ret_error);
}

int order_lifts_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct step step = {.request = request, .work = lifted_work};
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "reason", 1, ORDER_REASON_SIZE_MAX, &step.reason, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    return rc < 0 ? rc : step_run(&step, reply, ret_error);
}

/* ---- Amending ---- */

static int exempt_one(struct step *step, struct store *store, const char *text,
                      struct error *ret_error)
{
    char name[ORDER_NAME_TEXT_SIZE];
    size_t count = 0;

    int rc = order_name_normalize(text, name, ret_error);
    if (rc < 0)
        return rc;
    const struct desk_order_exemption exemption = {
        .name = name, .reason = step->reason, .reference = step->reference, .order = step->row.id};
    rc = order_exempt_untold(store, &step->change, &exemption, &count, ret_error);
    step->count += count;
    return rc;
}

/* One mail for all that an amendment changes. */
static int amended_tell(struct step *step, struct store *store, struct error *ret_error)
{
    char outcome[96];
    const char *document = step->document != NULL ? "its document blocks less" : "";
    const char *and = step->document != NULL && step->count > 0 ? ", and " : "";

    if (step->count == 0)
        snprintf(outcome, sizeof(outcome), "%s", document);
    else if (step->count == 1)
        snprintf(outcome, sizeof(outcome), "%s%sone name is exempt from it", document, and);
    else
        snprintf(outcome, sizeof(outcome), "%s%s%zu names are exempt from it", document, and,
                 step->count);
    return order_amended_tell(request_desk(step->request), store, &step->change, &step->row,
                              outcome, step->reason, ret_error);
}

static int amended_work(struct step *step, struct store *store, struct error *ret_error)
{
    const json_t *name;
    size_t index;
    int rc = 0;

    if (!order_row_is(&step->row, "active"))
        return error_set(ret_error, -EEXIST,
                         "the order is %s: only one in force is amended; change a draft by PATCH",
                         step->row.state);
    if (step->document != NULL) {
        const struct desk_order_draft draft = {.document = step->document,
                                               .document_size = strlen(step->document),
                                               .path = "/document",
                                               .loaded = step->loaded};
        rc = order_document_narrow(request_desk(step->request), store, &step->change, &step->row,
                                   &draft, step->reason, ret_error);
    }
    step->count = 0;
    json_array_foreach(step->exempt, index, name)
    {
        if (rc == 0)
            rc = exempt_one(step, store, json_string_value(name), ret_error);
    }
    if (rc == 0 && step->document == NULL && step->count == 0)
        rc = error_set_at(ret_error, -EEXIST, "/exempt", 0,
                          "the order lists none of these, or exempts them already");
    return rc < 0 ? rc : amended_tell(step, store, ret_error);
}

static int amendment_read(struct json_in *in, struct step *step, struct error *ret_error)
{
    const json_t *name;
    size_t index;

    int rc = json_in_text(in, "reason", 1, ORDER_REASON_SIZE_MAX, &step->reason, ret_error);
    if (rc == 0 && json_in_has(in, "reference"))
        rc = json_in_text(in, "reference", 1, ID_SIZE - 1, &step->reference, ret_error);
    if (rc == 0 && json_in_has(in, "exempt"))
        rc = json_in_array(in, "exempt", EXEMPT_MAX, &step->exempt, ret_error);
    if (rc == 0 && json_in_has(in, "document"))
        rc = order_document_in(in, &step->document, ret_error);
    json_array_foreach(step->exempt, index, name)
    {
        if (rc == 0 && !json_is_string(name))
            rc = json_in_fail(in, "exempt", ret_error, "has an entry that is no text: give names");
    }
    if (rc == 0 && step->exempt == NULL && step->document == NULL)
        rc = json_in_fail(in, "exempt", ret_error,
                          "is missing, as is document: say what is to change");
    return rc == 0 ? json_in_end(in, ret_error) : rc;
}

int order_amendments_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct step step = {.request = request, .work = amended_work};
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = amendment_read(&in, &step, ret_error);
    if (rc == 0 && step.document != NULL)
        rc = order_document_load(request_desk(request), "/document", step.document,
                                 strlen(step.document), &step.loaded, ret_error);
    if (rc == 0)
        rc = step_run(&step, reply, ret_error);
    order_free(step.loaded);
    free(step.document);
    return rc;
}

/* ---- A name out of every order ---- */

static int exemption_do(struct store *store, void *context, struct error *ret_error)
{
    struct step *step = context;
    char name[ORDER_NAME_TEXT_SIZE];

    int rc = order_name_normalize(step->name, name, ret_error);
    if (rc < 0)
        return rc;
    const struct desk_order_exemption exemption = {
        .name = name, .reason = step->reason, .reference = step->reference};
    return desk_order_exempt(request_desk(step->request), store, &step->change, &exemption,
                             &step->count, ret_error);
}

int order_exemptions_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct step step = {.request = request, .name = request_param(request, "name")};
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "reason", 1, ORDER_REASON_SIZE_MAX, &step.reason, ret_error);
    if (rc == 0 && json_in_has(&in, "reference"))
        rc = json_in_text(&in, "reference", 1, ID_SIZE - 1, &step.reference, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    step.change = change_of_request(request);
    if (rc == 0)
        rc = request_transact(request, exemption_do, &step, ret_error);
    if (rc < 0)
        return rc;
    desk_orders_settle(request_desk(request));
    return reply_json(reply, 200,
                      json_pack("{s:s, s:I}", "name", step.name, "orders", (json_int_t)step.count));
}
