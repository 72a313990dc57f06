/* The secret that opens an encrypted image. */
#ifndef FORMATS_CRYPT_PASSPHRASE_H
#define FORMATS_CRYPT_PASSPHRASE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct secrets;

/* The secret `id` (NULL: not given), which `option` names; borrowed. It must be text. */
int crypt_passphrase(const struct secrets *s, const char *id, const char *option,
                     const uint8_t **data, size_t *len, struct err *e);

#endif
