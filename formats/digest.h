/* Message digests by name: of a buffer, or of bytes that come piece by piece. */
#ifndef FORMATS_DIGEST_H
#define FORMATS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define DIGEST_MAX  64u /* bytes of the longest */
#define DIGEST_TEXT (2 * DIGEST_MAX + 1)

struct digest_kind {
    const char *name;
    size_t length;
    int algorithm; /* the library's */
};

/* md5, sha1, sha256, sha512, in any case; NULL with the error set: there is none of that name (the
 * `n` characters at `name`), or this build has no library for it. */
const struct digest_kind *digest_find(const char *name, size_t n, struct err *e);

/* As lower-case hexadecimal digits. */
void digest_text(const struct digest_kind *k, const uint8_t *digest, char out[DIGEST_TEXT]);

/* By any thread at any time. */
int digest_of(const struct digest_kind *k, const void *data, size_t len, uint8_t *out,
              struct err *e);

/* Piece by piece, by one thread at a time. */
struct digest;
struct digest *digest_new(const struct digest_kind *k, struct err *e);
void digest_add(struct digest *d, const void *data, size_t len);
void digest_end(struct digest *d, uint8_t *out); /* and start over */
void digest_free(struct digest *d);              /* NULL is fine */

#endif
