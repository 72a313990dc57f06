/* One refcount in a block of them: "Refcount block entry". `order`: log2 of its bits, 0 to 6. */
#ifndef FORMATS_QCOW2_COUNT_H
#define FORMATS_QCOW2_COUNT_H

#include <stdint.h>

uint64_t qcow2_count_load(unsigned order, const uint8_t *block, uint64_t i);
void qcow2_count_store(unsigned order, uint8_t *block, uint64_t i, uint64_t v);

/* The largest count of that width. */
static inline uint64_t qcow2_count_max(unsigned order)
{
    return order == 6 ? UINT64_MAX : (UINT64_C(1) << (UINT64_C(1) << order)) - 1;
}

#endif
