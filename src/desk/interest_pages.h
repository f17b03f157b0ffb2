/* The handlers of deconfliction's routes: private to part_interests.c, interest_place.c and
 * overlap.c. */
#pragma once

#include "desk/change.h"
#include "desk/router.h"

/* Names of one request for evaluation, tokens of one interest, letters of a text of the channel. */
#define EVALUATE_MAX        200
#define INTEREST_TOKENS_MAX 64
#define MESSAGE_SIZE_MAX    8192

int interest_evaluate(struct request *request, struct reply *reply, struct error *ret_error);
int interest_place(struct request *request, struct reply *reply, struct error *ret_error);
int interest_list(struct request *request, struct reply *reply, struct error *ret_error);
int interest_withdraw(struct request *request, struct reply *reply, struct error *ret_error);

int overlap_list(struct request *request, struct reply *reply, struct error *ret_error);
int overlap_get(struct request *request, struct reply *reply, struct error *ret_error);
int overlap_message(struct request *request, struct reply *reply, struct error *ret_error);
int overlap_override(struct request *request, struct reply *reply, struct error *ret_error);

/* Ends an interest: its tokens go, and what it holds is held no more. In a transaction. */
_must_check_ int interest_end(struct store *store, const struct change *change, const char *id,
                              struct error *ret_error);
