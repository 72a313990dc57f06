#include "formats/crypt/passphrase.h"

#include <errno.h>
#include <stdbool.h>

#include "image/secret.h"

/* Bytes of the UTF-8 character at p; 0: it is none (or NUL). */
static size_t utf8_length(const uint8_t *p, size_t n)
{
    static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80       ? 1
                 : p[0] >> 5 == 6  ? 2
                 : p[0] >> 4 == 14 ? 3
                 : p[0] >> 3 == 30 ? 4
                                   : 0;
    if (!len || len > n)
        return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    bool surrogate = c >= 0xd800 && c <= 0xdfff;
    return c < least[len] || c > 0x10ffff || surrogate ? 0 : len;
}

int crypt_passphrase(const struct secrets *s, const char *id, const char *option,
                     const uint8_t **data, size_t *len, struct err *e)
{
    if (!id)
        return err_set(e, EINVAL, "Parameter '%s' is required for cipher", option);
    if (secrets_find(s, id, data, len, e))
        return -1;
    for (size_t at = 0, n; at < *len; at += n) {
        n = utf8_length(*data + at, *len - at);
        if (!n)
            return err_set(e, EINVAL, "Data from secret %s is not valid UTF-8", id);
    }
    return 0;
}
