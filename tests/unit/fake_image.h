/* An image whose map is a list in memory: for the tests of what walks over maps. */
#ifndef TESTS_FAKE_IMAGE_H
#define TESTS_FAKE_IMAGE_H

#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "formats/format.h"
#include "image/image.h"

#define FAKE_MOST 16

struct fake {
    struct image image;
    struct format format;
    struct extent list[FAKE_MOST]; /* ascending; HOLE between them */
    size_t n;
    uint64_t fails_at; /* a map of this offset fails; 0 = never */
    unsigned asked;    /* how often it was asked to map */
};

static int fake_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
                    struct err *e)
{
    struct fake *f = (struct fake *)img;
    __atomic_add_fetch(&f->asked, 1, __ATOMIC_RELAXED);
    if (f->fails_at && guest == f->fails_at)
        return err_set(e, EIO, "no map at %llu", (unsigned long long)guest);
    uint64_t end = f->fails_at > guest ? num_min(guest + length, f->fails_at) : guest + length;
    out->kind = EXTENT_HOLE;
    out->length = end - guest;
    for (size_t i = 0; i < f->n; i++) {
        const struct extent *x = &f->list[i];
        if (guest >= x->guest + x->length)
            continue;
        if (guest < x->guest) {
            out->length = num_min(end, x->guest) - guest;
            break;
        }
        struct extent keep = *out;
        *out = *x;
        out->image = keep.image;
        out->guest = guest;
        out->host = x->host + (guest - x->guest);
        out->length = num_min(end, x->guest + x->length) - guest;
        break;
    }
    return 0;
}

/* `format` is the name under which block status looks it up. */
static inline void fake_init(struct fake *f, const char *format, uint64_t size, uint32_t cluster)
{
    memset(f, 0, sizeof *f);
    f->format.name = format;
    f->format.map = fake_map;
    f->image.format = &f->format;
    f->image.size = size;
    f->image.cluster_size = cluster;
    f->image.chain_length = 1;
}

static inline struct extent *fake_add(struct fake *f, enum extent_kind kind, uint64_t guest,
                                      uint64_t length)
{
    struct extent *x = &f->list[f->n++];
    *x = (struct extent){.kind = kind, .guest = guest, .length = length};
    return x;
}

static inline void fake_add_data(struct fake *f, uint64_t guest, uint64_t length, struct file *file,
                                 uint64_t host)
{
    struct extent *x = fake_add(f, EXTENT_DATA, guest, length);
    x->file = file;
    x->host = host;
    x->has_host = true;
}

#endif
