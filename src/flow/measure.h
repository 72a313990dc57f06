/* How large a new image file will be. */
#ifndef FLOW_MEASURE_H
#define FLOW_MEASURE_H

#include "formats/format.h"

/* Of `size` guest bytes, with the content of `src`, or empty (NULL). */
int measure_new(const struct format *format, const struct options *o, uint64_t size,
                struct image *src, struct measure_result *out, struct err *e);

#endif
