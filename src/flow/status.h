/*
 * Block status as qemu-img shows it: what `map` prints and what `compare -s` compares.
 *
 * It is nearly what the map of the chain says. The differences are a format's own: vhdx and luks
 * tell nothing, vdi and vpc call an absent block present, only some formats let the holes of the
 * file below shine through. They were found by running qemu-img 7.2 and stand in one table.
 */
#ifndef FLOW_STATUS_H
#define FLOW_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "flow/walk.h"

enum status_flag {
    STATUS_DATA = 1,
    STATUS_ZERO = 2,
    STATUS_PRESENT = 4,   /* as map shows it */
    STATUS_ALLOCATED = 8, /* PRESENT, or behind the end of a backing image that is shorter */
    STATUS_PLACE = 16,    /* offset and file count */
    STATUS_PACKED = 32,   /* one encoded block: never joined with the next */
    STATUS_END = 64       /* of a run: it reaches the end of its image */
};

struct status {
    uint64_t start, length; /* length > 0 */
    uint64_t offset;
    const char *file; /* name of the file that holds it, or NULL; borrowed from the image */
    uint32_t depth;
    uint32_t flags;
};

/* How the formats of an image's chain show their status; shared by the threads of a rank. */
struct status_rules;

int status_rules_new(struct image *image, struct status_rules **out, struct err *e);
void status_rules_free(struct status_rules *rules); /* NULL is fine */

/* One thread's reader of one image's status. */
struct status_reader {
    struct view view;
    const struct status_rules *rules; /* borrowed */
    struct status run;                /* the last answer of status_run */
};

struct status_reader status_reader_of(const struct status_rules *rules);

/* The status at `guest`, at most to `end` (inside the image), as far as one question tells. */
int status_at(struct status_reader *r, uint64_t guest, uint64_t end, struct status *out,
              struct err *e);

/* Does `next`, which begins where `s` ends, go on with it: same flags, depth, file, place? */
bool status_continues(const struct status *s, const struct status *next);

/* The status at `guest` as far as qemu-img's driver of that format tells it at once, to the end of
 * the image at most; STATUS_END as said there. Depends on the image and `guest` alone. */
int status_run(struct status_reader *r, uint64_t guest, struct status *out, struct err *e);

/* What a strict comparison compares. */
static inline uint32_t status_strict(const struct status *s)
{
    return s->flags & (STATUS_DATA | STATUS_ZERO | STATUS_ALLOCATED | STATUS_PLACE | STATUS_END);
}

#endif
