/*
 * What an image from somebody who is not trusted must not have (--safe).
 *
 *   open the file ──▶ checks of every file ──▶ checks of its format ──▶ driver->open ──▶ checks of
 *                     safety_common            format->safety                            the image
 *
 * Checks of a file look at its bytes themselves: no driver has seen it when they are made. A
 * check's name never changes, programs go by it. The manual page is written from these tables.
 */
#ifndef FORMATS_SAFETY_H
#define FORMATS_SAFETY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "io/file.h"

struct format;
struct image;

#define SAFETY_HEAD 512u /* bytes: what every program looks at to tell formats apart */

struct safety_subject {
    struct file *file;
    const struct format *format; /* that the file is to be opened as */
    bool named;                  /* by the user; else it was guessed */
    uint32_t got;                /* bytes of head that the file has */
    uint8_t head[SAFETY_HEAD];   /* the file's first bytes, then zeros */
};

/* -1: the check failed, and the error says what there is. */
struct safety_check {
    const char *name;
    const char *help; /* what must hold: a sentence without its full stop */
    int (*file)(const struct safety_subject *s, struct err *e);
    int (*opened)(const struct image *img, struct err *e); /* once the driver has opened it */
};

/* Those of every image. Like the lists of the formats it ends with name NULL. */
extern const struct safety_check safety_common[];

/* img->size against --max-size. */
int safety_size(const struct image *img, struct err *e);
/* The refusal of the check "second-file". */
int safety_second_file(const char *name, const char *named, struct err *e);

/* Is there an ISO 9660 or UDF file system? */
int safety_is_iso(const struct safety_subject *s, bool *iso, struct err *e);

/* partitions.c: is there a master boot record (of a GPT too), and no file system's boot sector? */
bool partitions_are_there(const struct safety_subject *s);
extern const struct safety_check partitions_safety[];

#endif
