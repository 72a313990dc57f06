/* What manifest.c (reading) and manifest_check.c (checking) share. */
#ifndef FLEET_MANIFEST_IMPL_H
#define FLEET_MANIFEST_IMPL_H

#include <stdio.h>

#include "fleet/lines.h"
#include "fleet/manifest.h"
#include "fleet/names.h"

struct manifest {
    const char *name; /* for messages */
    FILE *file;
    enum lines_kind kind;
    bool listed;            /* its records were made from the files of a folder */
    json_t *columns;        /* of CSV */
    const json_t *defaults; /* borrowed */
    char *folder;           /* absolute */
    struct manifest_item *items;
    size_t n, room;

    struct names *names;
    struct {
        dev_t device;
        char *folder;
    } stores[MANIFEST_STORES_MAX];
    unsigned n_stores;
    struct manifest_wrong *wrong; /* while it is checked */
    uint32_t *table;              /* 1 + item, by the key of its target */
    size_t table_mask;
};

void manifest_complain(struct manifest *m, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

json_t *manifest_parse(const struct manifest *m, const char *text, size_t n, struct err *e);

/* One record alone, with the files that it names; -1: no memory. */
int manifest_check_record(struct manifest *m, size_t i, const char *text, struct err *e);
/* All of them together. */
int manifest_check(struct manifest *m, struct err *e);

#endif
