/* The one RCU flavour of the program: quiescent-state based, whose readers pay nothing.
 *
 * Every thread that reads RCU-published data calls rcu_register_thread() first, passes a quiescent
 * state between two units of work and goes offline (rcu_thread_offline) around anything that
 * blocks. Writers call synchronize_rcu() or call_rcu() after unpublishing a pointer, never while
 * holding a read reference.
 *
 * A thread that reads only now and then is registered for just that moment, in which it blocks on
 * nothing, locks that are held around a grace period included; where the moment is long, it passes
 * quiescent states.
 */
#pragma once

/* The readers' functions inline: a call on the query path would cost more than they do. */
#define URCU_INLINE_SMALL_FUNCTIONS
#include <urcu-qsbr.h>

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer does not see what liburcu's own barriers order. Said in its terms: who
 * dereferences a pointer sees what was written before it was assigned, and who has waited for a
 * grace period comes behind all that readers did before their quiescent states. */
#include <sanitizer/tsan_interface.h>

static inline void *rcu_reader_ends(void)
{
    return (void *)&urcu_qsbr_synchronize_rcu; /* any address that all agree on */
}

#undef rcu_assign_pointer
#define rcu_assign_pointer(pointer, value) __atomic_store_n(&(pointer), value, __ATOMIC_RELEASE)
#undef rcu_dereference
#define rcu_dereference(pointer) __atomic_load_n(&(pointer), __ATOMIC_ACQUIRE)
#undef rcu_quiescent_state
#define rcu_quiescent_state() (__tsan_release(rcu_reader_ends()), urcu_qsbr_quiescent_state())
#undef rcu_thread_offline
#define rcu_thread_offline() (__tsan_release(rcu_reader_ends()), urcu_qsbr_thread_offline())
#undef rcu_unregister_thread
#define rcu_unregister_thread() (__tsan_release(rcu_reader_ends()), urcu_qsbr_unregister_thread())
#undef synchronize_rcu
#define synchronize_rcu() (urcu_qsbr_synchronize_rcu(), __tsan_acquire(rcu_reader_ends()))

#undef call_rcu
#define call_rcu(head, callback) \
    (__tsan_release(rcu_reader_ends()), urcu_qsbr_call_rcu(head, callback))

/* First in every function that call_rcu() calls. */
static inline void rcu_callback_begins(void)
{
    __tsan_acquire(rcu_reader_ends());
}
#else
static inline void rcu_callback_begins(void)
{
}
#endif
