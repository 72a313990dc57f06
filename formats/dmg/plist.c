/* Of the property list only what stands between <data> and </data> matters: tables are among it,
 * and show by their magic. */
#include <errno.h>
#include <string.h>

#include "formats/dmg/dmg.h"

struct plist {
    struct dmg_mish *mish;
    unsigned matched; /* characters of "<data>" that were met */
    bool in_data;
    uint32_t bits;   /* base64: the last digits ... */
    unsigned n_bits; /* ... and how many bits of them are not out yet */
    uint8_t bytes[512];
    size_t n_bytes;
};

static const char data_tag[] = "<data>";

/* -1: no digit */
static int base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int plist_flush(struct plist *p, struct err *e)
{
    size_t n = p->n_bytes;
    p->n_bytes = 0;
    return dmg_mish_feed(p->mish, p->bytes, n, e);
}

static int plist_digit(struct plist *p, uint8_t c, struct err *e)
{
    int digit = base64_digit(c);
    if (digit < 0)
        return strchr(" \t\r\n=", c) && c ? 0
                                          : err_set(e, EINVAL, "Property list has broken base64");
    p->bits = p->bits << 6 | (uint32_t)digit;
    p->n_bits += 6;
    if (p->n_bits < 8)
        return 0;
    p->n_bits -= 8;
    p->bytes[p->n_bytes++] = (uint8_t)(p->bits >> p->n_bits);
    return p->n_bytes == sizeof p->bytes ? plist_flush(p, e) : 0;
}

static void plist_text(struct plist *p, uint8_t c)
{
    if (c != (uint8_t)data_tag[p->matched])
        p->matched = 0;
    if (c == (uint8_t)data_tag[p->matched])
        p->matched++;
    if (p->matched < sizeof data_tag - 1)
        return;
    p->matched = 0;
    p->in_data = true;
    p->n_bits = 0;
    dmg_mish_begin(p->mish);
}

static int plist_take(void *ctx, const uint8_t *bytes, size_t n, struct err *e)
{
    struct plist *p = ctx;
    for (size_t i = 0; i < n; i++) {
        if (!p->in_data) {
            plist_text(p, bytes[i]);
        } else if (bytes[i] != '<') {
            if (plist_digit(p, bytes[i], e))
                return -1;
        } else {
            p->in_data = false;
            if (plist_flush(p, e))
                return -1;
        }
    }
    return 0;
}

int dmg_plist_read(struct file *f, uint64_t offset, uint64_t len, struct dmg_mish *m, struct err *e)
{
    struct plist p = {.mish = m};
    return dmg_stream(f, offset, len, plist_take, &p, e);
}
