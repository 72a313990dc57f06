/* The external data file of an image ("External data file name string"). */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "formats/qcow2/state.h"
#include "io/opening.h"

static struct file_options options_of(const struct image *img)
{
    struct file_options o = {
        .write = img->flags.write,
        .lock = FILE_LOCK_READER,
        .cache = img->flags.cache,
        .forget = img->flags.forget,
        .opening = img->flags.opening,
    };
    if (opening_is_replayed(o.opening))
        o.lock = FILE_LOCK_NONE;
    else if (img->flags.force_share)
        o.lock = FILE_LOCK_SHARED;
    else if (img->flags.write)
        o.lock = FILE_LOCK_WRITER;
    return o;
}

/* A child given by the user: a protocol node, or a raw node on one. */
static int open_child(const struct image *img, const json_t *child, struct file **out,
                      struct err *e)
{
    struct file_options o = options_of(img);
    const char *driver = json_string_value(json_object_get(child, "driver"));
    if (!json_is_object(child))
        return err_set(e, EINVAL, "Cannot find device='' nor node-name='%s'",
                       json_is_string(child) ? json_string_value(child) : "");
    if (!driver || !strcmp(driver, "raw")) {
        const json_t *below = json_object_get(child, "file");
        if (below)
            return file_open(below, &o, out, e);
    }
    return file_open(child, &o, out, e);
}

/* The same name in the folder of the image; NULL where that is no other place. */
static char *path_beside(const struct image *img, const char *name, struct err *e)
{
    const char *own = file_name(img->file), *slash = strrchr(own, '/');
    if (name[0] == '/' || !slash)
        return NULL;
    return mem_printf(e, "%.*s/%s", (int)(slash - own), own, name);
}

/* The stored name is that of a plain local file, whatever it looks like ("json:", "nbd:" are no
 * protocols here: an image must not make us talk to the network). A relative one begins where we
 * run, as qemu has it, or else in the folder of the image, as the specification's readers expect.
 */
static int open_stored(const struct image *img, const char *name, struct file **out, struct err *e)
{
    struct file_options o = options_of(img);
    if (!name || !*name)
        return err_set(e, EINVAL, "'data-file' is required for this image");
    int opened = img->flags.unfinished ? image_open_unfinished(img, name, out, e)
                                       : file_open_path(name, &o, out, e);
    if (opened == 0)
        return 0;
    if (e->no != ENOENT)
        return -1;
    AUTO_FREE char *beside = path_beside(img, name, e);
    if (beside && file_open_path(beside, &o, out, e) == 0) {
        err_clear(e);
        return 0;
    }
    return err_errno(e, e->no, "Could not open '%s'", name);
}

int qcow2_data_file_open(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    const json_t *child = json_object_get(img->spec, "data-file");
    if (!q->has_data_file) {
        q->data_file = q->file;
        return child ? err_set(e, EINVAL,
                               "'data-file' can only be set for images with an external "
                               "data file")
                     : 0;
    }
    if (img->flags.no_io)
        return 0;
    if (child ? open_child(img, child, &q->own_data_file, e)
              : open_stored(img, q->head.ext.data_file, &q->own_data_file, e))
        return -1;
    q->data_file = q->own_data_file;
    return 0;
}
