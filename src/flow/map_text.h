/*
 * map's text: a line an extent, formatted by hand (a large image has millions), and the joining of
 * extents that go on.
 */
#ifndef FLOW_MAP_TEXT_H
#define FLOW_MAP_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "flow/status.h"

struct text {
    char *data;
    size_t len, cap;
};

void text_release(struct text *t);
int text_add(struct text *t, const void *bytes, size_t n, struct err *e);

/* "{ "start": 0, ...},\n", without the separator. */
int text_json(struct text *t, const struct status *s, struct err *e);
/* "0               0x10000         0x50000         x.qcow2\n"; only for rows that are shown */
int text_human(struct text *t, const struct status *s, struct err *e);

/* The table for people holds only stored data ... */
static inline bool text_human_shows(const struct status *s)
{
    return (s->flags & (STATUS_DATA | STATUS_ZERO)) == STATUS_DATA;
}

/* ... and gives up at data that stands nowhere in a file as it is. */
static inline bool text_human_fails(const struct status *s)
{
    return (s->flags & (STATUS_DATA | STATUS_PLACE)) == STATUS_DATA;
}

#define TEXT_HUMAN_HEAD  "Offset          Length          Mapped to       File\n"
#define TEXT_HUMAN_ERROR "File contains external, encrypted or compressed clusters."

#endif
