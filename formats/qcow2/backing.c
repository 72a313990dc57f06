/* Another backing file's name and format. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "formats/qcow2/whole.h"

struct names {
    char *name, *format, *shown_name, *shown_format;
};

static void names_release(struct names *n)
{
    free(n->name);
    free(n->format);
    free(n->shown_name);
    free(n->shown_format);
}

static int copy(char **to, const char *text, struct err *e)
{
    *to = text ? mem_strdup(text, e) : NULL;
    return text && !*to ? -1 : 0;
}

static void exchange(char **a, char **b)
{
    char *was = *a;
    *a = *b;
    *b = was;
}

int qcow2_set_backing(struct image *img, const char *name, const char *format, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    AUTO(names_release) struct names n = {0};
    /* a raw data file alone is what the guest has: nothing can lie below it */
    if (name && (strlen(name) > QCOW2_MAX_BACKING_NAME || q->data_file_raw))
        return err_set(e, EINVAL, "%s", strerror(EINVAL));
    if (copy(&n.name, name, e) || copy(&n.format, format, e) || copy(&n.shown_name, name, e) ||
        copy(&n.shown_format, format, e))
        return -1;
    exchange(&q->head.backing_name, &n.name);
    exchange(&q->head.ext.backing_format, &n.format);
    q->head.header.autoclear &= QCOW2_AUTOCLEAR_BITMAPS | QCOW2_AUTOCLEAR_DATA_RAW;
    if (qcow2_head_write(q, e) || file_sync(q->file, e))
        return -1;
    exchange(&img->backing_name, &n.shown_name);
    exchange(&img->backing_format, &n.shown_format);
    return 0;
}
