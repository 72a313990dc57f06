#include "flow/measure.h"

#include <errno.h>

int measure_new(const struct format *format, const struct options *o, uint64_t size,
                struct image *src, struct measure_result *out, struct err *e)
{
    if (!format->measure)
        return err_set(e, ENOTSUP, "Block driver '%s' does not support size measurement",
                       format->name);
    return format->measure(o, size, src, out, e);
}
