/*
 * Many threads write one image, each as it likes: where the bytes go and what becomes the image's
 * is settled by one at a time, the bytes themselves move side by side.
 *
 *     member:  ┌ place ┐  move, fill …  ┌ link ┐
 *              └─ one at a time         └─ one at a time
 *
 * A fresh place is one member's until it is linked; who wants a part of the same unit waits for it,
 * and then finds it as a place of the image. Who writes over what another writes has no promise
 * which of both will be there.
 */
#ifndef IMAGE_EDIT_CROWD_H
#define IMAGE_EDIT_CROWD_H

#include "image/edit.h"
#include "image/mover.h"

struct edit_crowd;

/* `d` is borrowed; nobody else uses it meanwhile. Members are numbered from 0. */
int edit_crowd_new(struct edit *d, unsigned members, struct edit_crowd **out, struct err *e);
void edit_crowd_free(struct edit_crowd *c); /* NULL is fine */

/* As edit_write. `m` is the member's own. */
int edit_crowd_write(struct edit_crowd *c, unsigned member, struct mover *m, uint64_t guest,
                     const void *buf, size_t len, struct err *e);
/* As edit_flush; others may go on writing. */
int edit_crowd_flush(struct edit_crowd *c, struct err *e);

#endif
