#include "formats/qcow2/count.h"

#include "base/bytes.h"

uint64_t qcow2_count_load(unsigned order, const uint8_t *block, uint64_t i)
{
    switch (order) {
    case 3:
        return block[i];
    case 4:
        return be16_load(block + 2 * i);
    case 5:
        return be32_load(block + 4 * i);
    case 6:
        return be64_load(block + 8 * i);
    default: /* several to a byte, from its low bits up */
        return (block[(i << order) / 8] >> ((i << order) % 8)) & ((1u << (1u << order)) - 1);
    }
}

void qcow2_count_store(unsigned order, uint8_t *block, uint64_t i, uint64_t v)
{
    unsigned shift = (i << order) % 8;
    unsigned mask = ((1u << (1u << (order < 3 ? order : 0))) - 1) << shift;
    uint8_t *at = block + (i << order) / 8;
    switch (order) {
    case 3:
        *at = (uint8_t)v;
        break;
    case 4:
        be16_store(at, (uint16_t)v);
        break;
    case 5:
        be32_store(at, (uint32_t)v);
        break;
    case 6:
        be64_store(at, v);
        break;
    default:
        *at = (uint8_t)((*at & ~mask) | ((unsigned)v << shift));
    }
}
