/* Small questions about parts of what a client sent: octets of any value, ended by no NUL. Letter
 * case counts only where it is said. */
#pragma once

#include <string.h>

#include "sink/recognition.h"

static inline struct sink_text text_part(const void *octets, size_t size)
{
    return (struct sink_text){octets, size};
}

static inline struct sink_text text_word(const char *word)
{
    return text_part(word, strlen(word));
}

/* What follows the first `at` octets, of which there are as many. */
static inline struct sink_text text_after(struct sink_text text, size_t at)
{
    return text_part(text.octets + at, text.size - at);
}

static inline struct sink_text text_first(struct sink_text text, size_t size)
{
    return text_part(text.octets, size < text.size ? size : text.size);
}

static inline bool text_begins(struct sink_text text, struct sink_text part)
{
    return text.size >= part.size && memcmp(text.octets, part.octets, part.size) == 0;
}

static inline bool text_ends(struct sink_text text, const char *word)
{
    struct sink_text part = text_word(word);
    return text.size >= part.size &&
           memcmp(text.octets + text.size - part.size, part.octets, part.size) == 0;
}

static inline bool text_equal(struct sink_text one, struct sink_text other)
{
    return one.size == other.size && text_begins(one, other);
}

/* Where `part`, which is not empty, begins first; `text.size` where it doesn't. */
static inline size_t text_find(struct sink_text text, struct sink_text part)
{
    const uint8_t *at = memmem(text.octets, text.size, part.octets, part.size);
    return at == NULL ? text.size : (size_t)(at - text.octets);
}

/* The same of one octet. */
static inline size_t text_find_octet(struct sink_text text, uint8_t octet)
{
    const uint8_t *at = text.size > 0 ? memchr(text.octets, octet, text.size) : NULL;
    return at == NULL ? text.size : (size_t)(at - text.octets);
}

static inline uint8_t letter_lower(uint8_t octet)
{
    return octet >= 'A' && octet <= 'Z' ? (uint8_t)(octet + ('a' - 'A')) : octet;
}

static inline bool is_digit(uint8_t octet)
{
    return octet >= '0' && octet <= '9';
}

static inline bool is_letter(uint8_t octet)
{
    return letter_lower(octet) >= 'a' && letter_lower(octet) <= 'z';
}

static inline bool is_hex(uint8_t octet)
{
    return is_digit(octet) || (letter_lower(octet) >= 'a' && letter_lower(octet) <= 'f');
}

/* The same in any letter case; `word` is in lower case. */
static inline bool text_begins_as(struct sink_text text, const char *word)
{
    for (size_t i = 0; word[i] != '\0'; i++) {
        if (i == text.size || letter_lower(text.octets[i]) != (uint8_t)word[i])
            return false;
    }
    return true;
}

static inline bool text_is(struct sink_text text, const char *word)
{
    return text.size == strlen(word) && text_begins_as(text, word);
}

static inline bool text_has(struct sink_text text, const char *word)
{
    for (size_t at = 0; at < text.size; at++) {
        if (letter_lower(text.octets[at]) == (uint8_t)word[0] &&
            text_begins_as(text_after(text, at), word))
            return true;
    }
    return false;
}

static inline struct sink_text text_trim(struct sink_text text)
{
    while (text.size > 0 && text.octets[0] <= ' ')
        text = text_after(text, 1);
    while (text.size > 0 && text.octets[text.size - 1] <= ' ')
        text.size--;
    return text;
}
