/* The one RCU flavour of the program: quiescent-state based, whose readers pay nothing.
 *
 * Every thread that reads RCU-published data calls rcu_register_thread() first, passes a quiescent
 * state between two units of work and goes offline (rcu_thread_offline) around anything that
 * blocks. Writers call synchronize_rcu() or call_rcu() after unpublishing a pointer, never while
 * holding a read reference.
 */
#pragma once

/* The readers' functions inline: a call on the query path would cost more than they do. */
#define URCU_INLINE_SMALL_FUNCTIONS
#include <urcu-qsbr.h>
