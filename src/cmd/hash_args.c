#include "cmd/hash_args.h"

#include <stdio.h>
#include <string.h>

#include "flow/wanted.h"

void hash_arg_defaults(struct hash_arg *a)
{
    *a = (struct hash_arg){.algorithm = BLKHASH_ALGORITHM,
                           .n = strlen(BLKHASH_ALGORITHM),
                           .block_size = BLKHASH_BLOCK};
}

int hash_take_block_size(void *field, const char *value, struct err *e)
{
    struct hash_arg *a = field;
    return wanted_block_size(value, &a->block_size, e);
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
