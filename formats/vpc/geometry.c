#include "formats/vpc/vpc.h"

#include "base/num.h"

#define CYLINDERS_MAX 65535u

static uint64_t cylinders_times_heads(uint64_t sectors, unsigned per_track)
{
    return sectors / per_track;
}

/* Larger disks get more sectors a track: 17, 31, 63, 255. */
struct vpc_geometry vpc_geometry_of(uint64_t sectors)
{
    const uint64_t most = vpc_geometry_sectors(VPC_GEOMETRY_MAX);
    unsigned per_track, heads;
    uint64_t both;
    sectors = num_min(sectors, most);
    if (sectors >= UINT64_C(65535) * 16 * 63) {
        per_track = 255;
        heads = 16;
        both = cylinders_times_heads(sectors, per_track);
    } else {
        per_track = 17;
        both = cylinders_times_heads(sectors, per_track);
        heads = (unsigned)num_max(num_div_up(both, 1024), 4);
        if (both >= heads * 1024 || heads > 16) {
            per_track = 31;
            heads = 16;
            both = cylinders_times_heads(sectors, per_track);
        }
        if (both >= heads * 1024) {
            per_track = 63;
            both = cylinders_times_heads(sectors, per_track);
        }
    }
    return (struct vpc_geometry){(uint16_t)(both / heads), (uint8_t)heads, (uint8_t)per_track};
}

uint64_t vpc_geometry_sectors(struct vpc_geometry g)
{
    return (uint64_t)g.cylinders * g.heads * g.sectors;
}

bool vpc_geometry_is_max(struct vpc_geometry g)
{
    return g.cylinders == CYLINDERS_MAX && g.heads == 16 && g.sectors == 255;
}

/* The rule rounds down: raise the number until its geometry holds what was asked for. */
struct vpc_geometry vpc_geometry_holding(uint64_t sectors)
{
    if (!sectors)
        return (struct vpc_geometry){0};
    struct vpc_geometry g = vpc_geometry_of(sectors);
    for (uint64_t n = sectors; vpc_geometry_sectors(g) < sectors && !vpc_geometry_is_max(g);)
        g = vpc_geometry_of(++n);
    return g;
}
