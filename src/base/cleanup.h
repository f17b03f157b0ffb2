/* Scope-bound clean-up of locals and the hand-over of ownership. */
#pragma once

/* Runs VAR(&variable) when the variable leaves its scope. Spelled as in libknot/attribute.h, so
 * that both may be included in any order. */
#define _cleanup_(var) __attribute__((cleanup(var)))

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
