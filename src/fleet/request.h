/*
 * A record of a manifest as a conversion to do. A record is a JSON object; its fields are those of
 * request_fields, names of files are absolute or have a protocol, and what is not there (or null)
 * is as convert has it without the option. Every rank makes its own request of the same record.
 */
#ifndef FLEET_REQUEST_H
#define FLEET_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/err.h"
#include "flow/convert.h"

/* ---- fields ---------------------------------------------------------------------------------- */

enum request_kind {
    REQUEST_TEXT,
    REQUEST_BOOL,
    REQUEST_COUNT,   /* a number */
    REQUEST_SIZE,    /* a number, or a text such as "64k" */
    REQUEST_HASH,    /* true, false, or "ALGORITHM/SIZE" */
    REQUEST_OPTIONS, /* "a=b,c=d", or an object */
};

struct request;
struct request_field {
    const char *name;
    enum request_kind kind;
    /* Take the value, as a text (NULL: true). */
    int (*take)(struct request *r, const char *text, struct err *e);
    const char *help; /* a sentence without its full stop */
};

extern const struct request_field request_fields[]; /* ends with name NULL */
const struct request_field *request_field_find(const char *name);

/* ---- checking -------------------------------------------------------------------------------- */

/* Where all goes that is wrong with a record. */
struct request_sink {
    void (*bad)(void *ctx, const char *text);
    void *ctx;
};

/* Tells all that is wrong with the record alone; no file is looked at. Returns how much that is. */
size_t request_check(const json_t *record, const struct request_sink *sink);
/* The same of one field, its name before the words. */
int request_check_field(const char *name, const json_t *value, struct err *e);

/* ---- doing ----------------------------------------------------------------------------------- */

/* What all conversions of a fleet have in common, on a rank. Borrowed. */
struct request_common {
    struct secrets *secrets; /* may be NULL */
    uint64_t memory;         /* 0 = CONVERT_MEMORY_DEFAULT */
    void (*warn)(const char *text);
};

struct request {
    struct convert_options o; /* its pointers are into what follows */
    bool hash_given;          /* the hash is asked for, not only made for verify */

    json_t *record;
    struct convert_source source;
    struct options *options;
    char *list; /* of options */
    const char *backing, *backing_format;
    uint64_t level;
};

/* Without resume and a rate limit of the fleet: they are the run's to set. */
int request_new(const json_t *record, const struct request_common *common, struct request **out,
                struct err *e);
void request_free(struct request *r); /* NULL is fine */
void request_cleanup(struct request **r);

#endif
