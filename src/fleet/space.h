/* Is there room for what a fleet makes, on each file system that its targets are on? */
#ifndef FLEET_SPACE_H
#define FLEET_SPACE_H

#include "fleet/manifest.h"
#include "fleet/plan.h"

struct space_store {
    const char *folder; /* one that is on it; the manifest's */
    uint64_t needs;     /* bytes, beyond those of the files that are replaced */
    uint64_t packed;    /* targets that are compressed, as if they were not: not in needs */
    uint64_t free;      /* for us; PLAN_UNKNOWN: it does not say */
};

struct space {
    struct space_store store[MANIFEST_STORES_MAX];
    unsigned n;
};

/* By what was measured; without rows by what the sources take on their file systems. `skip`: items
 * to leave out. */
void space_look(struct space *s, const struct manifest *m, const bool *skip,
                const struct plan_row *rows);

static inline bool space_lacks(const struct space_store *s)
{
    return s->free != PLAN_UNKNOWN && s->needs > s->free;
}

#endif
