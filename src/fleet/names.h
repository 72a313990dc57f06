/*
 * Names of files, and which of them mean the same file.
 */
#ifndef FLEET_NAMES_H
#define FLEET_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Not FNV alone: the upper bits count too. */
uint64_t names_hash(uint64_t seed, const void *bytes, size_t n);

/* Is it a path, not "nbd://..." or "json:{...}"? "file:x" is one, of x. */
bool names_is_path(const char *name);
/* The name as seen from the folder (an absolute one); names with a protocol as they are. free() it.
 */
char *names_absolute(const char *folder, const char *name, struct err *e);

/* What a path leads to. A key is that of the folder (device and inode) with the last component, so
 * that it is the same by any way to the folder. Different files have the same key once in 2^64. */
struct names_file {
    uint64_t key;
    bool folder;   /* the folder is there */
    dev_t device;  /* the file system of it, or of the first of its parents that is there; 0 */
    bool writable; /* files can be made in it, or in the first of its parents that is there */
    bool there;
    bool is_folder;           /* it is there, but no file */
    uint64_t size, allocated; /* of a file that is there */
};

struct names; /* remembers folders that were looked at */
struct names *names_new(struct err *e);
void names_free(struct names *n); /* NULL is fine */
void names_cleanup(struct names **n);

/* An absolute path; a link is followed. */
void names_look(struct names *n, const char *path, struct names_file *out);

#endif
