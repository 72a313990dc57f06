/*
 * The log, done. Until the headers say that there is no log, another replay does the same again: a
 * stop at any write leaves an image that is as good as before.
 */
#include "base/mem.h"
#include "formats/vhdx/vhdx.h"

static int patch_apply(struct file *f, const struct vhdx_patch *p, uint8_t *sector, struct err *e)
{
    if (!p->source)
        return file_zero(f, p->start, p->end - p->start, FILE_ZERO_KEEP, e);
    if (vhdx_patch_read(f, p, sector, e))
        return -1;
    return file_write(f, sector, VHDX_LOG_SECTOR, p->start, e);
}

static int apply(struct file *f, const struct vhdx_log *log, struct err *e)
{
    AUTO_FREE uint8_t *sector = mem_io(VHDX_LOG_SECTOR, e);
    if (!sector)
        return -1;
    if (file_is_regular(f) && file_size(f) < log->last && file_truncate(f, log->last, e))
        return -1;
    for (size_t i = 0; i < log->n; i++)
        if (patch_apply(f, &log->patches[i], sector, e))
            return -1;
    return file_sync(f, e);
}

int vhdx_replay(struct file *f, const struct vhdx_log *log, struct vhdx_header *h, unsigned copy,
                struct err *e)
{
    struct vhdx_guid guid;
    if (vhdx_guid_new(&guid, e))
        return -1;
    if (apply(f, log, e))
        return err_prefix(e, "Could not replay the VHDX log: ");
    h->file_write = guid; /* the file has changed, what the guest sees has not */
    h->log = vhdx_guid_none;
    return vhdx_header_update(f, h, copy, e);
}
