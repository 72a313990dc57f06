#include "fleet/order.h"

#include <string.h>

enum mark { MARK_NEW, MARK_ON_PATH, MARK_DONE };

/* Every image waits for one at most, so from each there is one path. It is walked twice: to its end
 * or to an image that is marked, then again to mark it as done. */
size_t order_circles(const size_t *after, size_t n, uint8_t *marks,
                     void (*circle)(void *ctx, size_t image), void *ctx)
{
    size_t circles = 0;
    memset(marks, MARK_NEW, n);
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        while (at != ORDER_NONE && marks[at] == MARK_NEW) {
            marks[at] = MARK_ON_PATH;
            at = after[at];
        }
        if (at != ORDER_NONE && marks[at] == MARK_ON_PATH) {
            circle(ctx, at);
            circles++;
        }
        for (at = i; at != ORDER_NONE && marks[at] == MARK_ON_PATH; at = after[at])
            marks[at] = MARK_DONE;
    }
    return circles;
}

/* The depth of what `i` waits for is settled first; `from` steps back are taken by walking again,
 * as chains are short. */
static uint32_t depth_of(const size_t *after, size_t i, uint32_t *depth)
{
    uint32_t steps = 0;
    size_t at = i;
    for (; at != ORDER_NONE && !depth[at]; at = after[at])
        steps++;
    uint32_t all = steps + (at == ORDER_NONE ? 0 : depth[at]);
    for (at = i; steps--; at = after[at])
        depth[at] = all--;
    return depth[i];
}

size_t order_longest(const size_t *after, size_t n, uint32_t *depth)
{
    uint32_t most = 0;
    memset(depth, 0, n * sizeof *depth);
    for (size_t i = 0; i < n; i++) {
        uint32_t d = depth_of(after, i, depth);
        most = d > most ? d : most;
    }
    return most;
}
