#include "cmd/object.h"

#include <errno.h>

enum object_outcome object_load(const struct text_list *texts, struct secrets **out, struct err *e)
{
    *out = 0;
    if (texts->n == 0)
        return OBJECT_OK;
    err_set(e, ENOTSUP, "Objects are not supported");
    return OBJECT_BAD;
}

void object_cleanup(struct secrets **s)
{
    (void)s;
}
