/* What one thread hands over to another by a wait-free queue of liburcu: urcu/wfcqueue.h, of which
 * ThreadSanitizer does not see that who takes a node comes behind all that was done to it. */
#pragma once

#include <urcu/wfcqueue.h>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>

static inline struct cds_wfcq_node *handover_taken(struct cds_wfcq_node *node)
{
    if (node != NULL)
        __tsan_acquire(node);
    return node;
}

#undef cds_wfcq_enqueue
#define cds_wfcq_enqueue(head, tail, node) \
    (__tsan_release(node), (cds_wfcq_enqueue)(head, tail, node))
#undef __cds_wfcq_dequeue_blocking
#define __cds_wfcq_dequeue_blocking(head, tail) \
    handover_taken((__cds_wfcq_dequeue_blocking)(head, tail))
#endif
