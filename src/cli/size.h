/* Sizes as operands give them, and as people read them. */
#ifndef CLI_SIZE_H
#define CLI_SIZE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/size.h"

/* size_take, with a warning where the size may be meant otherwise. */
int size_operand(const char *text, const char *what, uint64_t *out, struct err *e);

#define SIZE_HUMAN_MAX 40
/* "0 B", "1.29 MiB": three digits, the next unit from 1000 on. */
void size_human(uint64_t bytes, char out[SIZE_HUMAN_MAX]);

#endif
