/* Which hash of the guest's content: --hash of convert, the options of hash. */
#ifndef CMD_HASH_ARGS_H
#define CMD_HASH_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "flow/blkhash.h"

struct hash_arg {
    bool given;
    const char *algorithm; /* borrowed, n characters */
    size_t n;
    uint64_t block_size;
};

void hash_arg_defaults(struct hash_arg *a);

/* Rows' calls, for a struct hash_arg: "", NULL, "ALGORITHM" or "ALGORITHM/SIZE"; one or the other.
 */
int hash_take(void *field, const char *value, struct err *e);
int hash_take_algorithm(void *field, const char *value, struct err *e);
int hash_take_block_size(void *field, const char *value, struct err *e);

int hash_arg_params(const struct hash_arg *a, struct blkhash_params *out, struct err *e);

/* "HASH  NAME" on stdout. */
void hash_say(const struct digest_kind *k, const uint8_t *hash, const char *name);

#endif
