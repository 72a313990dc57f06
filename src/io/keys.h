/* The options of a protocol node, as protocols read them: text and JSON values alike. */
#ifndef IO_KEYS_H
#define IO_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"

/* Refuse what neither `known` (NULL-terminated) nor the image layer takes. */
int keys_check(const json_t *node, const char *driver, const char *const *known, struct err *e);

/* The text of a value, numbers and booleans spelled out; absent or null keeps *out, which is the
 * caller's to free. */
int keys_text(const json_t *node, const char *key, char **out, struct err *e);
/* on, off, yes, no, true, false; absent keeps *out. */
int keys_bool(const json_t *node, const char *key, bool *out, struct err *e);
/* A decimal number; one with a sign wraps round as qemu-img has it; absent keeps *out. */
int keys_number(const json_t *node, const char *key, uint64_t *out, struct err *e);
/* A number with one of the suffixes k, M, G, T, P, E; absent keeps *out. */
int keys_size(const json_t *node, const char *key, uint64_t *out, struct err *e);

#endif
