/*
 * Files and devices of this machine: what its parts share.
 *
 *   posix.c     opening and closing, what it is, the two tables of operations
 *   buffered.c  pread and pwrite, whole
 *   direct.c    O_DIRECT, many requests in flight
 *   lock.c      byte range locks that QEMU understands
 *   holes.c     where there is data
 *   space.c     holes made, zeros, space reserved
 *   hints.c     how a new file is to be laid out
 *   copy.c      copies inside the storage
 *   forget.c    keeping out of the page cache
 */
#ifndef IO_POSIX_H
#define IO_POSIX_H

#include <pthread.h>
#include <stdatomic.h>

#include "io/file_ops.h"

/* The last answer about holes. On tmpfs each SEEK_HOLE walks over all pages up to the next hole, so
 * that asking block by block would cost the square of the length. */
struct holes {
    pthread_mutex_t lock;
    uint64_t start, end; /* start == end: nothing known */
    bool is_hole;
    uint64_t changes; /* holes made, lengths set by us */
};

/* A range that is to be dropped from the page cache. */
struct forget_part {
    uint64_t off, end;
    uint64_t at; /* value of `total` when it came */
};

#define FORGET_PARTS 256

/* Parts are numbered as they come; number i is ring[i % FORGET_PARTS]. */
struct forget {
    pthread_mutex_t lock;
    bool on;
    uint64_t total;         /* bytes that came so far */
    uint64_t next;          /* number of the next part */
    uint64_t first, second; /* of the next to be dropped once, twice: second <= first <= next */
    struct forget_part ring[FORGET_PARTS];
};

enum lock_strict {
    LOCK_AUTO, /* where the file system has no locks: go on without */
    LOCK_ON    /* ... fail */
};

struct posix {
    struct file file;
    int fd;               /* through the page cache; holds the locks */
    int direct_fd;        /* O_DIRECT, or -1 */
    uint32_t direct_unit; /* whole units are written with O_DIRECT, the rest through `fd` */
    uint64_t device_size; /* of what is not regular */
    bool is_block;
    enum file_lock lock; /* held */
    enum lock_strict strict;
    pthread_mutex_t relock;
    atomic_bool direct_off;    /* the file system refused after all */
    atomic_bool no_seek;       /* no SEEK_DATA */
    atomic_bool no_punch;      /* no FALLOC_FL_PUNCH_HOLE */
    atomic_bool no_zero_range; /* no FALLOC_FL_ZERO_RANGE */
    atomic_bool no_zero_out;   /* no BLKZEROOUT */
    atomic_int sync_error;     /* errno of a sync that failed: data is lost, no later one is good */
    struct holes holes;
    struct forget forget;
};

static inline struct posix *posix_of(struct file *f)
{
    return (struct posix *)f;
}

/* posix.c */

struct posix_request {
    const char *path;
    const char *shown; /* in messages about opening */
    const struct file_options *o;
    int flags;        /* further ones of open(2) */
    unsigned mode;    /* of a file that is created */
    bool keep;        /* FILE_CREATE_NEW, but what is there stays for now */
    bool device_only; /* driver host_device */
    enum lock_strict strict;
};

#define POSIX_MODE 0644 /* as qemu-img creates */

int posix_open(const struct posix_request *r, struct file **out, struct err *e);
int posix_open_file(const json_t *spec, const struct file_options *o, struct file **out,
                    struct err *e);
int posix_open_device(const json_t *spec, const struct file_options *o, struct file **out,
                      struct err *e);
int posix_sync(struct file *f, struct err *e);

/* buffered.c; *got < len only at the end of the file */
int buffered_read(int fd, void *buf, size_t len, uint64_t off, size_t *got, struct err *e);
int buffered_write(int fd, const void *buf, size_t len, uint64_t off, struct err *e);

/* direct.c. direct_open sets direct_fd, direct_unit and the alignment, or leaves the file buffered
 * where O_DIRECT does not work; that is no error. */
void direct_open(struct posix *p, int flags);
int direct_read(struct file *f, void *buf, size_t len, uint64_t off, size_t *got, struct err *e);
int direct_write(struct file *f, const void *buf, size_t len, uint64_t off, struct err *e);
int direct_read_batch(struct file *f, const struct file_io *io, size_t n, size_t *failed,
                      struct err *e);
int direct_write_batch(struct file *f, const struct file_io *io, size_t n, size_t *failed,
                       struct err *e);

/* lock.c: from holding `from` to holding `to`; on failure `from` is still held */
int lock_change(int fd, const char *name, enum lock_strict strict, enum file_lock from,
                enum file_lock to, struct err *e);

/* holes.c: what was known of holes counts no more */
void holes_changed(struct posix *p);

/* holes.c, space.c, hints.c, copy.c, forget.c: members of struct file_ops */
int holes_span(struct file *f, uint64_t off, uint64_t len, bool *is_hole, uint64_t *length,
               struct err *e);
int space_zero(struct file *f, uint64_t off, uint64_t len, enum file_zero how, bool *done,
               struct err *e);
int space_zero_fast(struct file *f, uint64_t off, uint64_t len, bool *done, struct err *e);
void space_discard(struct file *f, uint64_t off, uint64_t len);
int space_truncate(struct file *f, uint64_t size, struct err *e);
int space_preallocate(struct file *f, uint64_t off, uint64_t len, struct err *e);
int hints_set(struct file *f, enum file_hint hint, uint32_t value);
int copy_range(struct file *src, uint64_t src_off, struct file *dst, uint64_t dst_off, uint64_t len,
               uint64_t *copied, struct err *e);
void forget_range(struct file *f, uint64_t off, uint64_t len);
void forget_init(struct posix *p);
void forget_all(struct posix *p); /* what is clean now */

#endif
