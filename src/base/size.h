/*
 * Sizes and counts as people write them: "1.5k", "0x400", "10G".
 */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* 0 ok, -EINVAL malformed, -ERANGE too large (> 2^64-1). */
int size_parse(const char *text, uint64_t *out);

/* "0x40k": taken, but it may be meant otherwise. */
bool size_is_doubtful(const char *text);

/* A size below 2^63. `what` names it in the error ("image size", "start offset"). */
int size_take(const char *text, const char *what, uint64_t *out, struct err *e);

/* A whole decimal number from `min` to `max`. */
int size_count(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *out,
               struct err *e);

#endif
