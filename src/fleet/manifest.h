/*
 * A manifest: the images of a fleet, one record each, as lines of JSON, as CSV, or as the files of
 * a folder. It is checked as a whole before anything is done.
 *
 * What is kept of a record is where it stands (struct manifest_item, 104 bytes, and 8 to 16 more to
 * find it by its target), so that a million of them take some 120 MB; the text is read again when
 * it is needed.
 *
 * Rank 0, one thread.
 */
#ifndef FLEET_MANIFEST_H
#define FLEET_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"

/* Either a file ("-": standard input), or all files below a folder that match a pattern. */
struct manifest_source {
    const char *path;
    const char *from, *to, *glob; /* glob NULL: all */
    const json_t *defaults;       /* of fields that a record does not have; may be NULL */
};

#define MANIFEST_WRONG_MAX 20

/* What is wrong with it: "fleet.jsonl:3: Unknown field 'x'". */
struct manifest_wrong {
    char *text[MANIFEST_WRONG_MAX]; /* the first ones */
    size_t n;                       /* all */
};
void manifest_wrong_release(struct manifest_wrong *w);

#define MANIFEST_STORES_MAX 64 /* file systems that are told apart */

struct manifest_item {
    uint64_t at;     /* its text in the file */
    uint32_t length; /* of it */
    uint32_t line;
    uint64_t text;                    /* hash of it */
    uint64_t request;                 /* hash of the whole record, with the defaults */
    uint64_t size;                    /* of the source's file; 0: not known */
    uint64_t bytes;                   /* allocated for it */
    uint64_t replaces;                /* allocated for what stands under the target's name */
    uint64_t target, source, backing; /* keys of names.h; 0: none */
    size_t after;                     /* the item that it waits for, or ORDER_NONE */
    uint8_t store;                    /* 1 + the file system of the target; 0: not known */
    bool backing_there;
    bool compress; /* how large the target will be cannot be told */
};

struct manifest;
/* -1: it cannot be read at all. What is wrong with its records is in `wrong`, then it is not to be
 * done. */
int manifest_open(const struct manifest_source *from, struct manifest **out,
                  struct manifest_wrong *wrong, struct err *e);
void manifest_free(struct manifest *m); /* NULL is fine */
void manifest_cleanup(struct manifest **m);

size_t manifest_count(const struct manifest *m);
const struct manifest_item *manifest_item(const struct manifest *m, size_t i);

/* The record as a conversion needs it (request.h): with the defaults, names absolute. New
 * reference; NULL with the error set, also when the manifest has changed meanwhile. */
json_t *manifest_record(const struct manifest *m, size_t i, struct err *e);

/* The item whose target has this key (names.h), or ORDER_NONE. */
size_t manifest_find_target(const struct manifest *m, uint64_t key);

/* Of a file system (store - 1): a folder on it. There are manifest_stores(). */
unsigned manifest_stores(const struct manifest *m);
const char *manifest_store(const struct manifest *m, unsigned i);

/* Make the folders of targets that are not there (of --to). */
int manifest_make_folders(const struct manifest *m, struct err *e);

#endif
