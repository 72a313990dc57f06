#include "formats/vdi/vdi.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "formats/marks.h"

#define PIECE (64u * 1024) /* of the map at once */

struct vdi_check {
    const struct vdi *v;
    struct file *file;
    const struct check_sink *sink;
    struct check_result *r;
    struct marks marks;
    uint64_t allocated;
};

__attribute__((format(printf, 2, 3))) static void fault(struct vdi_check *c, const char *fmt, ...)
{
    char text[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->sink->line(c->sink->ctx, text);
    c->r->corruptions++;
}

static void check_entry(struct vdi_check *c, uint32_t block, uint32_t entry)
{
    if (entry >= VDI_ZERO)
        return;
    if (entry >= c->v->header.blocks) {
        if (!c->marks.base)
            fault(c, "ERROR: block index %" PRIu32 " too large, is %" PRIu32, block, entry);
        return;
    }
    c->allocated += !c->marks.base;
    if (marks_has(&c->marks, entry) && marks_take(&c->marks, entry))
        fault(c, "ERROR: block index %" PRIu32 " also used by %" PRIu32, entry, entry);
}

static int check_map(struct vdi_check *c, uint8_t *buf, struct err *e)
{
    uint64_t bytes = (uint64_t)c->v->header.blocks * 4;
    for (uint64_t at = 0; at < bytes; at += PIECE) {
        size_t n = num_min(PIECE, bytes - at);
        if (file_read(c->file, buf, n, c->v->header.map_offset + at, e))
            return err_prefix(e, "Could not read the block map: ");
        for (size_t i = 0; i < n; i += 4)
            check_entry(c, (uint32_t)((at + i) / 4), le32_load(buf + i));
    }
    return 0;
}

static int check_windows(struct vdi_check *c, struct err *e)
{
    AUTO_FREE uint8_t *buf = mem_io(PIECE, e);
    if (!buf)
        return -1;
    do {
        if (check_map(c, buf, e))
            return -1;
    } while (marks_next(&c->marks, c->v->header.blocks));
    return 0;
}

int vdi_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
              struct check_result *out, struct err *e)
{
    const struct vdi *v = img->state;
    struct vdi_check c = {.v = v, .file = img->file, .sink = sink, .r = out};
    (void)fix;
    if (marks_init(&c.marks, v->header.blocks, sink->memory, e))
        return -1;
    int r = check_windows(&c, e);
    marks_release(&c.marks);
    if (!r && c.allocated != v->header.allocated)
        fault(&c, "ERROR: allocated blocks mismatch, is %" PRIu64 ", should be %" PRIu32,
              c.allocated, v->header.allocated);
    return r;
}
