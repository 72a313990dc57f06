/*
 * One thread's means to bring bytes to a place (formats/edit.h): encrypts them where the place asks
 * for it, and fills what a request leaves of a fresh place. Several threads may each have one on
 * the same image.
 */
#ifndef IMAGE_MOVER_H
#define IMAGE_MOVER_H

#include "formats/edit.h"
#include "image/image.h"

struct mover {
    struct image *img;
    struct image_reader *reader;
    uint8_t *piece; /* what is copied, what is encrypted */
};

/* `img` is borrowed. */
int mover_init(struct mover *m, struct image *img, struct err *e);
void mover_release(struct mover *m);

/* [guest, guest + len), which the place holds; buf NULL: zeros. What lacks of a fresh place is
 * filled with what the guest reads there now; after that it can be linked. */
int mover_write(struct mover *m, const struct edit_place *p, uint64_t guest, const uint8_t *buf,
                uint64_t len, struct err *e);
/* What [guest, guest + len) leaves of the place, if it is fresh. */
int mover_fill_around(struct mover *m, const struct edit_place *p, uint64_t guest, uint64_t len,
                      struct err *e);

#endif
