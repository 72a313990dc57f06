#include "image/edit.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/trace.h"
#include "formats/crypt/crypt.h"
#include "formats/format.h"
#include "image/mover.h"

struct edit {
    struct image *img;
    const struct edit_ops *ops;
    struct mover mover;
    uint64_t unit;
};

/* ---- beginning and end ----------------------------------------------------------------------- */

static void edit_free(struct edit *d)
{
    mover_release(&d->mover);
    free(d);
}

int edit_begin(struct image *img, struct edit **out, struct err *e)
{
    const struct edit_ops *ops = img->format->edit;
    *out = NULL;
    if (!ops)
        return err_set(e, ENOTSUP, "Format driver '%s' does not support writing in place",
                       img->format->name);
    struct edit *d = mem_new(1, sizeof *d, e);
    if (!d)
        return -1;
    *d = (struct edit){.img = img, .ops = ops};
    if (mover_init(&d->mover, img, e) || (ops->begin && ops->begin(img, e))) {
        edit_free(d);
        return -1;
    }
    d->unit = ops->unit ? ops->unit(img) : 1;
    TRACE(edit_begin, img->name, d->unit);
    *out = d;
    return 0;
}

int edit_end(struct edit *d, struct err *e)
{
    if (!d)
        return 0;
    TRACE(edit_end, d->img->name);
    int r = edit_flush(d, e);
    if (!r && d->ops->end)
        r = d->ops->end(d->img, e);
    edit_free(d);
    return r;
}

void edit_cleanup(struct edit **d)
{
    struct err ignored = ERR_INIT;
    if (*d)
        edit_end(*d, &ignored);
    *d = NULL;
}

uint64_t edit_unit(const struct edit *d)
{
    return d->unit;
}

uint64_t edit_group(const struct edit *d)
{
    uint64_t cluster = d->img->cluster_size;
    return num_is_pow2(cluster) ? num_max(d->unit, cluster) : d->unit;
}

struct image *edit_image(const struct edit *d)
{
    return d->img;
}

int edit_flush(struct edit *d, struct err *e)
{
    TRACE(edit_flush, d->img->name);
    return d->ops->flush(d->img, e);
}

/* ---- writing --------------------------------------------------------------------------------- */

static int check_range(const struct edit *d, uint64_t guest, uint64_t len, struct err *e)
{
    if (num_inside(guest, len, d->img->size))
        return 0;
    return err_set(e, EIO, "Range at offset %" PRIu64 " reaches beyond the end of the image",
                   guest);
}

/* Somebody may keep account of what changes. */
static int touch(struct edit *d, uint64_t guest, uint64_t len, struct err *e)
{
    return d->ops->touch && len ? d->ops->touch(d->img, guest, len, e) : 0;
}

static int place(struct edit *d, uint64_t guest, uint64_t length, struct edit_place *out,
                 struct err *e)
{
    uint64_t end;
    *out = (struct edit_place){.guest = guest};
    if (d->ops->place(d->img, guest, length, out, e))
        return -1;
    TRACE(edit_place, d->img->name, out->guest, out->length, out->host, out->fresh);
    if (out->guest <= guest && num_add(out->guest, out->length, &end) && end > guest)
        return 0;
    return err_set(e, EIO, "Format '%s' has no place for offset %" PRIu64, d->img->format->name,
                   guest);
}

/* What is asked for of a place is going to be written, up to the image's end. */
static int touch_place(struct edit *d, uint64_t guest, uint64_t length, const struct edit_place *p,
                       struct err *e)
{
    uint64_t end = num_min(num_min(guest + length, p->guest + p->length), d->img->size);
    return touch(d, guest, end - guest, e);
}

int edit_place(struct edit *d, uint64_t guest, uint64_t length, struct edit_place *out,
               struct err *e)
{
    return place(d, guest, length, out, e) || touch_place(d, guest, length, out, e) ? -1 : 0;
}

static int place_units(struct edit *d, uint64_t guest, uint64_t len, struct edit_place *out,
                       struct err *e)
{
    uint64_t start = num_down_to(guest, d->unit);
    return place(d, start, num_up_to(guest + len, d->unit) - start, out, e);
}

int edit_place_part(struct edit *d, uint64_t guest, uint64_t len, struct edit_place *out,
                    struct err *e)
{
    return place_units(d, guest, len, out, e) || touch_place(d, guest, len, out, e) ? -1 : 0;
}

int edit_place_packed(struct edit *d, uint64_t guest, uint32_t len, struct edit_place *out,
                      struct err *e)
{
    const struct edit_packing *p = d->ops->packing;
    *out = (struct edit_place){
        .guest = guest, .length = p->block(d->img), .fresh = true, .packed_len = len};
    return p->place(d->img, guest, len, out, e) || touch_place(d, guest, out->length, out, e) ? -1
                                                                                              : 0;
}

const struct edit_packing *edit_packing(const struct edit *d)
{
    return d->ops->packing;
}

int edit_link(struct edit *d, const struct edit_place *p, struct err *e)
{
    TRACE(edit_link, d->img->name, p->guest, p->length, p->host);
    image_reader_forget(d->mover.reader);
    return d->ops->link(d->img, p, e);
}

/* Bytes of [guest, guest + len) as one place takes them; buf NULL: zeros. *done = how many. */
static int write_once(struct edit *d, uint64_t guest, const uint8_t *buf, uint64_t len,
                      uint64_t *done, struct err *e)
{
    struct edit_place p;
    if (place_units(d, guest, len, &p, e))
        return -1;
    *done = num_min(p.guest + p.length - guest, len);
    if (mover_write(&d->mover, &p, guest, buf, *done, e))
        return -1;
    return p.fresh ? edit_link(d, &p, e) : 0;
}

static int write_all(struct edit *d, uint64_t guest, const uint8_t *buf, uint64_t len,
                     struct err *e)
{
    for (uint64_t done; len; guest += done, len -= done) {
        if (write_once(d, guest, buf, len, &done, e))
            return -1;
        buf = buf ? buf + done : NULL;
    }
    return 0;
}

/* Encrypted sectors are written whole: less than one is put into what it reads now. */
static int write_part(struct edit *d, uint64_t guest, const uint8_t *buf, size_t len, struct err *e)
{
    uint8_t sector[CRYPT_SECTOR] = {0};
    uint64_t at = num_down(guest, CRYPT_SECTOR), n = num_min(CRYPT_SECTOR, d->img->size - at);
    if (image_read(d->mover.reader, d->img, at, n, sector, e))
        return -1;
    memcpy(sector + (guest - at), buf, len);
    return write_all(d, at, sector, CRYPT_SECTOR, e);
}

static int write_sectors(struct edit *d, uint64_t guest, const uint8_t *buf, size_t len,
                         struct err *e)
{
    while (len) {
        uint64_t in = guest % CRYPT_SECTOR, n = num_down(len, CRYPT_SECTOR);
        if (in || !n)
            n = num_min(CRYPT_SECTOR - in, len);
        if (in || n < CRYPT_SECTOR ? write_part(d, guest, buf, n, e)
                                   : write_all(d, guest, buf, n, e))
            return -1;
        guest += n;
        buf += n;
        len -= n;
    }
    return 0;
}

int edit_write(struct edit *d, uint64_t guest, const void *buf, size_t len, struct err *e)
{
    if (check_range(d, guest, len, e) || touch(d, guest, len, e))
        return -1;
    return d->img->encrypted ? write_sectors(d, guest, buf, len, e)
                             : write_all(d, guest, buf, len, e);
}

/* ---- zeros ----------------------------------------------------------------------------------- */

/* The whole units inside of a range; the image's last one is whole where the image ends. */
static void whole_units(const struct edit *d, uint64_t guest, uint64_t len, uint64_t *from,
                        uint64_t *to)
{
    uint64_t end = guest + len;
    *from = num_up_to(guest, d->unit);
    *to = end == d->img->size ? end : num_down_to(end, d->unit);
    if (*to < *from)
        *from = *to = guest;
}

int edit_zero(struct edit *d, uint64_t guest, uint64_t len, enum edit_zero how, struct err *e)
{
    uint64_t from, to, end = guest + len;
    TRACE(edit_zero, d->img->name, guest, len);
    if (check_range(d, guest, len, e) || touch(d, guest, len, e))
        return -1;
    whole_units(d, guest, len, &from, &to);
    if (d->img->encrypted && (guest % CRYPT_SECTOR || len % CRYPT_SECTOR)) {
        for (uint64_t done = 0, n; done < len; done += n) {
            uint8_t zeros[8 * CRYPT_SECTOR] = {0};
            n = num_min(len - done, sizeof zeros - (guest + done) % CRYPT_SECTOR);
            if (write_sectors(d, guest + done, zeros, n, e))
                return -1;
        }
        return 0;
    }
    if (!d->ops->zero || from == to)
        return write_all(d, guest, NULL, len, e);
    image_reader_forget(d->mover.reader);
    if (write_all(d, guest, NULL, from - guest, e))
        return -1;
    for (uint64_t done; from < to; from += done) {
        done = 0;
        if (d->ops->zero(d->img, from, to - from, how, &done, e))
            return -1;
        uint64_t rest = num_min(d->unit - (from + done) % d->unit, to - from - done);
        if (done < to - from && write_all(d, from + done, NULL, rest, e))
            return -1;
        done += done < to - from ? rest : 0;
    }
    return write_all(d, to, NULL, end - to, e);
}

int edit_discard(struct edit *d, uint64_t guest, uint64_t len, struct err *e)
{
    uint64_t from, to;
    TRACE(edit_discard, d->img->name, guest, len);
    if (check_range(d, guest, len, e) || touch(d, guest, len, e))
        return -1;
    whole_units(d, guest, len, &from, &to);
    if (!d->ops->discard || from == to)
        return 0;
    image_reader_forget(d->mover.reader);
    return d->ops->discard(d->img, from, to - from, e);
}
