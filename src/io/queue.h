/*
 * Requests in flight, one by one: unlike a batch (io/file.h) they are waited for in the order in
 * which they end. Of one thread. Only files and devices of this machine take part.
 */
#ifndef IO_QUEUE_H
#define IO_QUEUE_H

#include "io/file.h"

enum file_queue_kind {
    FILE_QUEUE_NONE,
    FILE_QUEUE_NATIVE, /* libaio: files that are read and written past the page cache */
    FILE_QUEUE_URING   /* io_uring: all; a build may be without it, a container may forbid it */
};

struct file_queue;

/* Is this kind part of the build? */
bool file_queue_known(enum file_queue_kind kind);

/* NULL with the error set, also where the kernel has no room for that many. */
struct file_queue *file_queue_new(enum file_queue_kind kind, unsigned depth, struct err *e);
/* Nothing is in flight any more. NULL is fine. */
void file_queue_free(struct file_queue *q);

/* Can this file's requests be queued at all? */
bool file_queue_takes(enum file_queue_kind kind, const struct file *f);
/* And this one? Else it has to be done at once. */
bool file_queue_fits(const struct file_queue *q, const struct file *f, bool write,
                     const struct file_io *io);

/* At most `depth` may be in flight. `tag` comes back when it is done; `io` is copied. */
void file_queue_add(struct file_queue *q, struct file *f, bool write, const struct file_io *io,
                    void *tag);
/* Wait until one has ended: its tag. *no = 0, or errno (EIO where the file ended before). */
int file_queue_wait(struct file_queue *q, void **tag, int *no, struct err *e);

#endif
