#include "base/zero.h"

#include <string.h>

/* libc's memcmp is vectorised for the machine at run time: comparing a block with itself shifted
 * by 16 bytes tests it as fast as memory delivers it. */
bool zero_is(const void *p, size_t n)
{
    const unsigned char *b = p;
    size_t head = n < 16 ? n : 16;
    for (size_t i = 0; i < head; i++)
        if (b[i])
            return false;
    return n <= 16 || memcmp(b, b + 16, n - 16) == 0;
}

size_t zero_run(const void *p, size_t n, size_t grain, bool *is_zero)
{
    const unsigned char *b = p;
    size_t at = n < grain ? n : grain;
    *is_zero = zero_is(b, at);
    while (at < n) {
        size_t step = n - at < grain ? n - at : grain;
        if (zero_is(b + at, step) != *is_zero)
            break;
        at += step;
    }
    return at;
}
