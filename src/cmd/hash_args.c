#include "cmd/hash_args.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "cli/size.h"

void hash_arg_defaults(struct hash_arg *a)
{
    *a = (struct hash_arg){.algorithm = BLKHASH_ALGORITHM,
                           .n = strlen(BLKHASH_ALGORITHM),
                           .block_size = BLKHASH_BLOCK};
}

int hash_take_block_size(void *field, const char *value, struct err *e)
{
    struct hash_arg *a = field;
    if (size_operand(value, "block size", &a->block_size, e))
        return -1;
    if (num_is_pow2(a->block_size) && a->block_size >= BLKHASH_BLOCK_MIN &&
        a->block_size <= BLKHASH_BLOCK_MAX)
        return 0;
    return err_set(e, EINVAL,
                   "Invalid block size '%s': it must be a power of two between %u and %u", value,
                   BLKHASH_BLOCK_MIN, BLKHASH_BLOCK_MAX);
}

static int take_name(struct hash_arg *a, const char *name, size_t n, struct err *e)
{
    a->algorithm = name;
    a->n = n;
    return digest_find(name, n, e) ? 0 : -1;
}

int hash_take_algorithm(void *field, const char *value, struct err *e)
{
    return take_name(field, value, strlen(value), e);
}

int hash_take(void *field, const char *value, struct err *e)
{
    struct hash_arg *a = field;
    a->given = true;
    if (!value)
        return 0;
    size_t n = strcspn(value, "/");
    if (take_name(a, value, n, e))
        return -1;
    return value[n] ? hash_take_block_size(a, value + n + 1, e) : 0;
}

int hash_arg_params(const struct hash_arg *a, struct blkhash_params *out, struct err *e)
{
    *out = (struct blkhash_params){.kind = digest_find(a->algorithm, a->n, e),
                                   .block_size = (uint32_t)a->block_size};
    return out->kind ? 0 : -1;
}

void hash_say(const struct digest_kind *k, const uint8_t *hash, const char *name)
{
    char text[DIGEST_TEXT];
    digest_text(k, hash, text);
    printf("%s  %s\n", text, name);
}
