/*
 * The text of a manifest, record by record: lines of JSON, or CSV (RFC 4180), where a record may go
 * on over several lines inside quotes.
 */
#ifndef FLEET_LINES_H
#define FLEET_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "base/err.h"

#define LINES_MAX ((size_t)1 << 20) /* bytes of a record */

enum lines_kind { LINES_JSON, LINES_CSV };

struct lines {
    FILE *in; /* borrowed */
    enum lines_kind kind;
    uint64_t at;   /* where in the file the next record may begin */
    unsigned line; /* its number */
};

/* One record: its bytes are in `text`, as they stand in the file, without the newline. */
struct lines_record {
    char *text; /* room for LINES_MAX + 1, the caller's */
    size_t length;
    uint64_t at;
    unsigned line;
    bool too_long; /* `text` is not all of it */
};

/* Is it CSV? The first character that is no space tells; a byte order mark is skipped. */
void lines_begin(struct lines *l, FILE *in);

/* 1: a record; 0: there are no more. Empty lines are none. -1: the file cannot be read. */
int lines_next(struct lines *l, struct lines_record *r, struct err *e);

/* A line of JSON as an object. New reference; NULL with the error set. */
json_t *lines_json(const char *text, size_t length, struct err *e);

/* A record of CSV as a list of texts. New reference; NULL with the error set. */
json_t *lines_csv(const char *text, size_t length, struct err *e);

#endif
