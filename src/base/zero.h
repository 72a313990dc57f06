/* Zero detection at memory speed. */
#ifndef BASE_ZERO_H
#define BASE_ZERO_H

#include <stdbool.h>
#include <stddef.h>

/* true if all n bytes are zero (also for n == 0) */
bool zero_is(const void *p, size_t n);

/* Length of the run at p of which every `grain` bytes are all zero, or all not all zero, up to n;
 * *is_zero says which. n > 0; a shorter last grain counts as a grain. */
size_t zero_run(const void *p, size_t n, size_t grain, bool *is_zero);

#endif
