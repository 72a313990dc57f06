/*
 * A byte store: a regular file, a block device, a network export, memory.
 *
 * All offsets and lengths are bytes. Every function may be called by several threads at once on one
 * file; ranges that are written and accessed at the same time are the caller's business. Messages
 * are those of the operating system ("No space left on device"): callers add what they were doing.
 */
#ifndef IO_FILE_H
#define IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"

/* Cache mode, as -t and -T name them (see cli.md, "Cache modes"). */
struct file_cache {
    bool direct;       /* none, directsync: O_DIRECT where the file system takes it */
    bool writethrough; /* directsync, writethrough: each write is on storage when it returns */
    bool no_flush;     /* unsafe: file_sync does nothing */
};

/* Parse a cache mode's name; -1 if there is no such mode (no message: it differs by option). */
int file_cache_parse(const char *name, struct file_cache *out);

enum file_create {
    FILE_EXISTING,  /* must exist */
    FILE_CREATE_NEW /* create or truncate to length 0 (after the locks are held) */
};

enum file_lock {
    FILE_LOCK_NONE,   /* no lock: locking=off, or a temporary file of our own */
    FILE_LOCK_READER, /* reads; others may read, none may write */
    FILE_LOCK_SHARED, /* reads with -U: others may do anything */
    FILE_LOCK_WRITER  /* reads and writes; others may do nothing but -U reads */
};

/* Where a protocol finds passwords while it opens: the bytes of --object secret,id=ID. */
struct file_secrets {
    int (*find)(const void *ctx, const char *id, const uint8_t **data, size_t *len, struct err *e);
    const void *ctx;
};

/* How a new file is laid out on Lustre: 0 = as its folder says. */
struct file_stripes {
    int count;     /* targets; -1: all */
    uint64_t size; /* bytes, a multiple of 64 KiB */
};

struct opening;

struct file_options {
    bool write;
    enum file_create create;
    enum file_lock lock;
    struct file_cache cache;
    bool forget; /* drop what was read or written from the page cache as the work goes on */
    struct file_secrets secrets; /* find NULL: there are none */
    struct file_stripes stripes; /* with FILE_CREATE_NEW: of a file that is not there yet */
    struct opening *opening;     /* what is read while it is opened is shared (io/opening.h) */
};

struct file;

/* ---- opening --------------------------------------------------------------------------------- */

/* Open by protocol node: `spec` is a JSON object such as {"driver":"file","filename":"x"} (driver
 * file, host_device, nbd, https, ...: the registry in io/protocol.c). Borrowed, not kept. */
int file_open(const json_t *spec, const struct file_options *o, struct file **out, struct err *e);

/* Shorthand for a plain local path. */
int file_open_path(const char *path, const struct file_options *o, struct file **out,
                   struct err *e);

/* Close; reports what the operating system says only then (NFS: delayed write errors). The file is
 * gone in any case. NULL is fine. */
int file_close(struct file *f, struct err *e);

/* For AUTO(): closes, errors are not seen. Only for files that were read. */
void file_cleanup(struct file **f);

/* ---- what it is ------------------------------------------------------------------------------ */

const char *file_name(const struct file *f);     /* as opened; borrowed */
const char *file_protocol(const struct file *f); /* "file", "host_device", "nbd", ... */
uint64_t file_size(const struct file *f);        /* length now, in bytes (re-read if it can grow) */
bool file_is_regular(const struct file *f);      /* can grow, shrink and have holes */
/* Bytes that the file takes on storage; -1 if not known. */
int64_t file_allocated(const struct file *f);
/* Requests at a multiple of this offset and length, from memory aligned so, need no bouncing: 1 for
 * buffered files, 512 or 4096 for O_DIRECT. Others work, slower. */
uint32_t file_alignment(const struct file *f);
/* Another machine answers: a request is more waiting than work. */
bool file_is_remote(const struct file *f);
/* Are both the same regular file, by whatever names it was opened? False if that is not known. */
bool file_is_same(const struct file *a, const struct file *b);
/* What tells one state of a file from another; 0 and -1: not known. */
struct file_mark {
    uint64_t size, inode;
    int64_t modified; /* nanoseconds since 1970 */
};
void file_mark(const struct file *f, struct file_mark *out);
/* A new part of the file, never written, is known to read as zeros. */
bool file_grows_zero(const struct file *f);

/* ---- moving bytes ---------------------------------------------------------------------------- */

/* Read all of it. Reaching the end of the file before is an error (EIO). */
int file_read(struct file *f, void *buf, size_t len, uint64_t off, struct err *e);

/* Read what there is, zero the rest of buf; *got = bytes that came from the file (may be NULL). */
int file_read_padded(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                     struct err *e);

/* Write all of it; a regular file grows as needed. */
int file_write(struct file *f, const void *buf, size_t len, uint64_t off, struct err *e);

/* One request of a batch. */
struct file_io {
    void *buf; /* not changed by writes */
    size_t len;
    uint64_t off;
};

/* A batch of requests, in flight together where the file can (libaio with O_DIRECT). All are done,
 * or it failed with the error of the first that failed in the order of the batch; *failed (may be
 * NULL) is then its index. Reading past the end is an error, as in file_read. */
int file_read_batch(struct file *f, const struct file_io *io, size_t n, size_t *failed,
                    struct err *e);
int file_write_batch(struct file *f, const struct file_io *io, size_t n, size_t *failed,
                     struct err *e);

/* ---- extents, zeros, space ------------------------------------------------------------------- */

/* From `off` on (inside the file), how many bytes have the same kind? *is_hole is true where the
 * file has nothing stored; *length is at most `len` and at least 1. A file that does not know says
 * data. Beyond the end it is a hole. */
int file_span(struct file *f, uint64_t off, uint64_t len, bool *is_hole, uint64_t *length,
              struct err *e);

enum file_zero { FILE_ZERO_UNMAP, FILE_ZERO_KEEP };
/* Make a range read as zeros: by a hole (UNMAP) or with its space kept (KEEP); writes zeros where
 * the file can do neither. */
int file_zero(struct file *f, uint64_t off, uint64_t len, enum file_zero how, struct err *e);

/* The same for a device or an export, if it is far cheaper than writing zeros: *done = was it. */
int file_zero_fast(struct file *f, uint64_t off, uint64_t len, bool *done, struct err *e);

/* What is there is not needed any more: its space is given back, if the file can do that. Then it
 * reads as anything. Never fails. */
void file_discard(struct file *f, uint64_t off, uint64_t len);

/* Set the length. Growing reads as zeros. */
int file_truncate(struct file *f, uint64_t size, struct err *e);

enum file_prealloc { FILE_PREALLOC_OFF, FILE_PREALLOC_FALLOC, FILE_PREALLOC_FULL };
/* Reserve space for [off, off+len) (posix_fallocate), or write zeros there (FULL). Grows. */
int file_preallocate(struct file *f, uint64_t off, uint64_t len, enum file_prealloc how,
                     struct err *e);

enum file_hint {
    FILE_HINT_NOCOW,      /* write in place, make no copies (Btrfs) */
    FILE_HINT_EXTENT_SIZE /* allocate in pieces of so many bytes (XFS) */
};
/* How the file system is to lay out a new file, which is empty yet. 0, or the errno value of why it
 * will not. */
int file_hint(struct file *f, enum file_hint hint, uint32_t value);

/* Copy inside the storage (copy_file_range; a reflink on XFS and Btrfs). *copied = how many bytes
 * were done, from the front: may be less than len, or 0, where the files cannot; then the caller
 * copies the rest by reading and writing. -1 only for real I/O errors. */
int file_copy(struct file *src, uint64_t src_off, struct file *dst, uint64_t dst_off, uint64_t len,
              uint64_t *copied, struct err *e);

/* Everything written is on storage when it returns; for no_flush: other machines see it, where a
 * server keeps the file. */
int file_sync(struct file *f, struct err *e);

/* This range is not needed any more: start writing it back, drop clean pages from the page cache.
 * Does nothing unless the file was opened with `forget`. Never fails. */
void file_forget(struct file *f, uint64_t off, uint64_t len);

/* Give up the write permission's lock or take another kind (reader -> writer). */
int file_relock(struct file *f, enum file_lock lock, struct err *e);

#endif
