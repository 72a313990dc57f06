/*
 * What a protocol implements (io/posix.c, io/memory.c, io/null.c, ...). The public functions of
 * io/file.h check arguments, apply defaults for absent members and call these.
 */
#ifndef IO_FILE_OPS_H
#define IO_FILE_OPS_H

#include <errno.h>

#include "io/file.h"

/* The operating system's words for errno value `no`. Returns -1. */
static inline int file_fail(struct err *e, int no)
{
    errno = no;
    return err_set(e, no, "%m");
}

struct file_ops {
    const char *protocol;
    int (*close)(struct file *f, struct err *e);
    uint64_t (*size)(const struct file *f);
    int64_t (*allocated)(const struct file *f);
    int64_t (*modified)(const struct file *f); /* absent: not known */
    /* one request, all of it; a read beyond the end gives *got < len */
    int (*read)(struct file *f, void *buf, size_t len, uint64_t off, size_t *got, struct err *e);
    int (*write)(struct file *f, const void *buf, size_t len, uint64_t off, struct err *e);
    /* absent: one after the other */
    int (*read_batch)(struct file *f, const struct file_io *io, size_t n, size_t *failed,
                      struct err *e);
    int (*write_batch)(struct file *f, const struct file_io *io, size_t n, size_t *failed,
                       struct err *e);
    /* absent: all data */
    int (*span)(struct file *f, uint64_t off, uint64_t len, bool *is_hole, uint64_t *length,
                struct err *e);
    /* absent, or *done false: the caller writes zeros */
    int (*zero)(struct file *f, uint64_t off, uint64_t len, enum file_zero how, bool *done,
                struct err *e);
    /* absent, or *done false: it cannot, or not fast */
    int (*zero_fast)(struct file *f, uint64_t off, uint64_t len, bool *done, struct err *e);
    /* absent: nothing is given back */
    void (*discard)(struct file *f, uint64_t off, uint64_t len);
    int (*truncate)(struct file *f, uint64_t size, struct err *e);
    int (*preallocate)(struct file *f, uint64_t off, uint64_t len, struct err *e); /* FALLOC */
    int (*hint)(struct file *f, enum file_hint hint, uint32_t value); /* absent: EOPNOTSUPP */
    int (*copy)(struct file *src, uint64_t src_off, struct file *dst, uint64_t dst_off,
                uint64_t len, uint64_t *copied, struct err *e);
    int (*sync)(struct file *f, struct err *e);
    int (*hand_over)(struct file *f, struct err *e); /* absent: other machines see it as it is */
    void (*forget)(struct file *f, uint64_t off, uint64_t len);
    int (*relock)(struct file *f, enum file_lock lock, struct err *e);
};

/* The common head of every implementation's own struct. */
struct file {
    const struct file_ops *ops;
    char *name;              /* owned */
    struct file_options opt; /* as opened */
    uint32_t alignment;
    bool regular;
    bool grows_zero;
    bool remote;
    uint64_t device, inode; /* which one it is, of a regular file; inode 0: not known */
};

struct file_protocol {
    const char *name; /* the value of "driver" */
    int (*open)(const json_t *spec, const struct file_options *o, struct file **out, struct err *e);
};

/* io/protocol.c: all that this build has; NULL if there is none of that name. */
const struct file_protocol *file_protocol_find(const char *name);

#endif
