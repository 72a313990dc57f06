#include "flow/amend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "flow/resize.h"
#include "formats/amend.h"

const struct option_def *amend_options(const struct format *format, struct err *e)
{
    if (format->amend)
        return format->amend->options;
    err_set(e, ENOTSUP, "Format driver '%s' does not support option amendment", format->name);
    return NULL;
}

static bool table_has(const struct option_def *table, const char *name)
{
    while (table && table->name && strcmp(table->name, name))
        table++;
    return table && table->name;
}

/* The option that parsing did not know; "" if it failed for something else. */
static void unknown_name(const struct err *e, char name[64])
{
    *name = '\0';
    sscanf(e->text, "Invalid parameter '%63[^']'", name);
}

struct options *amend_parse(const struct format *format, const char *text, struct err *e)
{
    const struct option_def *const tables[] = {amend_options(format, e), NULL};
    AUTO(options_cleanup) struct options *o = tables[0] ? options_new(tables, e) : NULL;
    char name[64];
    if (!o)
        return NULL;
    if (!options_parse(o, text, NULL, e))
        return MEM_TAKE(o);
    unknown_name(e, name);
    if (table_has(format->create_options, name))
        err_hint(e, "This option is only supported for image creation");
    return NULL;
}

int amend_run(struct image *img, const struct options *o, bool force,
              const struct progress *progress, struct err *e)
{
    const struct amend_request r = {.options = o,
                                    .force = force,
                                    .zero = resize_zero_added,
                                    .progress = progress->update,
                                    .ctx = progress->ctx};
    if (!amend_options(img->format, e))
        return -1;
    progress_update(progress, 0);
    int rc = img->format->amend->run(img, &r, e);
    progress_update(progress, 100);
    return rc;
}
