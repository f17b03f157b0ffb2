/* Scope-bound clean-up of locals and the hand-over of ownership. */
#pragma once

/* Runs FUNCTION(&variable) when the variable leaves its scope. libknot's headers define the same.
 */
#ifndef _cleanup_
#define _cleanup_(function) __attribute__((cleanup(function)))
#endif

/* A caller must look at the result. */
#define _must_check_ __attribute__((warn_unused_result))

/* Rarely run: kept out of the hot path's cache lines. */
#define _cold_ __attribute__((cold, noinline))

/* Yields a pointer's value and leaves NULL behind: ownership moves to the receiver. */
#define TAKE(pointer)                   \
    __extension__({                     \
        __auto_type taken_ = (pointer); \
        (pointer) = NULL;               \
        taken_;                         \
    })

/* Defines NAME##p(), the clean-up form of a free function that accepts NULL. */
#define DEFINE_FREEP(type, name)                                                                \
    static inline void name##p(type **pointer) /* NOLINT(bugprone-macro-parentheses): a type */ \
    {                                                                                           \
        name(*pointer);                                                                         \
    }
