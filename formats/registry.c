#include <string.h>

#include "formats/format.h"

/* A row each, sorted by name. */
/* clang-format off */
const struct format *const format_all[] = {
    &format_bochs,
    &format_cloop,
    &format_dmg,
    &format_luks,
    &format_parallels,
    &format_qcow,
    &format_qcow2,
    &format_qed,
    &format_raw,
    &format_vdi,
    &format_vhdx,
    &format_vmdk,
    &format_vpc,
    NULL,
};
/* clang-format on */

const struct format *format_find(const char *name)
{
    for (const struct format *const *f = format_all; *f; f++)
        if (!strcmp((*f)->name, name))
            return *f;
    return NULL;
}

const struct format *format_probe(const uint8_t *head, size_t n, const char *filename)
{
    const struct format *best = &format_raw;
    int best_score = 0;
    for (const struct format *const *f = format_all; *f; f++) {
        int score = (*f)->probe && n ? (*f)->probe(head, n, filename) : 0;
        if (score > best_score) {
            best = *f;
            best_score = score;
        }
    }
    return best;
}
