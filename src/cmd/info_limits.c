#include "cmd/info_limits.h"

#include <string.h>

#include "base/num.h"
#include "cli/report.h"
#include "formats/edit.h"
#include "formats/format.h"
#include "io/limits.h"

#define SECTOR 512u

/* These are read and written by the byte, the others, and what is encrypted, by the sector. */
static bool limits_by_byte(const struct image *img)
{
    const char *name = img->format->name;
    return (strcmp(name, "raw") == 0 || strcmp(name, "qcow2") == 0) && !img->encrypted;
}

/* Guest bytes that the format can make zeros, or give back, without writing them. */
static uint64_t limits_unit(const struct image *img, bool can)
{
    return can ? img->cluster_size : 0;
}

bool info_add_limits(json_t *tree, struct image *img)
{
    const struct edit_ops *edit = img->format->edit;
    struct file_limits l;
    file_limits(img->file, &l);
    uint64_t zeroes = limits_unit(img, edit && edit->zero);
    uint64_t discard = limits_unit(img, edit && edit->discard);
    uint32_t alignment = limits_by_byte(img) ? l.alignment : (uint32_t)num_max(l.alignment, SECTOR);
    json_t *limits = json_object();
    bool good =
        report_count(limits, "write-zeroes-alignment", zeroes) &&
        report_number(limits, "request-alignment", alignment) &&
        report_count(limits, "opt-transfer", l.opt_transfer) &&
        report_number(limits, "min-mem-alignment", l.memory_alignment) &&
        report_count(limits, "max-hw-transfer", l.max_hw_transfer) &&
        report_count(limits, "discard-alignment", discard ? discard : l.discard_alignment) &&
        report_number(limits, "opt-mem-alignment", l.memory_optimal) &&
        report_number(limits, "max-iov", l.max_iov) &&
        report_count(limits, "max-write-zeroes", l.max_write_zeroes) &&
        report_count(limits, "max-hw-iov", l.max_hw_iov) &&
        report_count(limits, "max-discard", l.max_discard);
    return report_add(tree, "limits", limits) && good;
}
