#include "fleet/space.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/num.h"

static uint64_t sum(uint64_t a, uint64_t b)
{
    return num_add(a, b, &a) ? a : UINT64_MAX - 1;
}

static void add_item(struct space *s, const struct manifest_item *item, uint64_t needs)
{
    if (!item->store)
        return;
    struct space_store *store = &s->store[item->store - 1];
    needs -= num_min(needs, item->replaces);
    if (item->compress)
        store->packed = sum(store->packed, needs);
    else
        store->needs = sum(store->needs, needs);
}

/* The folder may not be there yet: then the first of its parents that is. */
static uint64_t free_of(const char *folder)
{
    char at[4096];
    struct statvfs fs;
    snprintf(at, sizeof at, "%s", folder);
    for (;;) {
        if (statvfs(at, &fs) == 0)
            return (uint64_t)fs.f_bavail * fs.f_frsize;
        char *slash = strrchr(at, '/');
        if (!slash || strcmp(at, "/") == 0)
            return PLAN_UNKNOWN;
        slash[slash == at] = '\0';
    }
}

void space_look(struct space *s, const struct manifest *m, const bool *skip,
                const struct plan_row *rows)
{
    *s = (struct space){.n = manifest_stores(m)};
    for (size_t i = 0; i < manifest_count(m); i++) {
        const struct manifest_item *item = manifest_item(m, i);
        if (!skip[i])
            add_item(s, item, rows ? rows[i].needs : item->bytes);
    }
    for (unsigned i = 0; i < s->n; i++) {
        s->store[i].folder = manifest_store(m, i);
        s->store[i].free = free_of(s->store[i].folder);
    }
}
