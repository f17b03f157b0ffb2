/* What all dialogues share. Private to the dialogue. */
#pragma once

#include "sink/dialogue.h"
#include "sink/dialogue_tls.h"

struct dialogue_setting {
    struct dialogue_tls_setting tls;
    char *operator_name, *contact;
    size_t octets_max;
    dialogue_order_fn *order;
    void *context;
};
