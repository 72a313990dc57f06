/*
 * What a fuzzer would never guess is made right before an image is opened: checksums. Every eighth
 * input is left as it is.
 *
 * And what it must not ask for is cut: how often a password is hashed stands in a LUKS header and
 * is not ours to bound.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/vhdx/crc32c.h"
#include "harness.h"

#define LUKS_COST 10000u /* iterations; the seeds have fewer */

/* What is not in the file is not put there. */
static bool get(struct file *f, void *buf, size_t n, uint64_t at)
{
    struct err e = ERR_INIT;
    return num_inside(at, n, file_size(f)) && !file_read(f, buf, n, at, &e);
}

static void put32(struct file *f, uint64_t at, const uint8_t value[4])
{
    struct err e = ERR_INIT;
    file_write(f, value, 4, at, &e);
}

/* ---- luks ------------------------------------------------------------------------------------ */

static void cut_cost(struct file *f, uint64_t at)
{
    uint8_t iterations[4];
    if (!get(f, iterations, 4, at) || be32_load(iterations) <= LUKS_COST)
        return;
    be32_store(iterations, LUKS_COST);
    put32(f, at, iterations);
}

static void seal_luks(struct file *f)
{
    cut_cost(f, 164);
    for (unsigned slot = 0; slot < 8; slot++)
        cut_cost(f, 208 + slot * 48 + 4);
}

/* ---- vhdx ------------------------------------------------------------------------------------ */

/* The checksum of n bytes stands at their offset 4 and counts as 0. */
static void seal_crc(struct file *f, uint64_t at, size_t n)
{
    static uint8_t buf[64 * KIB];
    uint8_t sum[4];
    if (n < 8 || n > sizeof buf || !get(f, buf, n, at))
        return;
    memset(buf + 4, 0, 4);
    le32_store(sum, crc32c(0, buf, n));
    put32(f, at + 4, sum);
}

/* Entries stand one behind the other: as far as that goes. */
static void seal_log(struct file *f, uint64_t at, uint64_t length)
{
    uint8_t head[12];
    for (uint64_t end = at + num_min(length, MIB); at < end;) {
        if (!get(f, head, sizeof head, at))
            return;
        bool is_entry = !memcmp(head, "loge", 4);
        uint32_t n = is_entry ? le32_load(head + 8) : 4096;
        if (is_entry)
            seal_crc(f, at, n);
        at += num_max(num_down(n, 4096), 4096);
    }
}

static void seal_vhdx(struct file *f)
{
    uint8_t log[12];
    for (unsigned i = 0; i < 2; i++) {
        uint64_t header = (1 + i) * 64 * KIB, region = (3 + i) * 64 * KIB;
        if (get(f, log, sizeof log, header + 68))
            seal_log(f, le64_load(log + 4) & INT64_MAX, le32_load(log));
        seal_crc(f, header, 4 * KIB);
        seal_crc(f, region, 64 * KIB);
    }
}

/* ---- vpc ------------------------------------------------------------------------------------- */

static void seal_sum(struct file *f, uint64_t at, size_t n, size_t field)
{
    uint8_t buf[1024], sum[4];
    uint32_t total = 0;
    if (!get(f, buf, n, at))
        return;
    for (size_t i = 0; i < n; i++)
        total += i >= field && i < field + 4 ? 0 : buf[i];
    be32_store(sum, ~total);
    put32(f, at + field, sum);
}

static void seal_vpc(struct file *f)
{
    uint8_t place[8];
    uint64_t size = file_size(f);
    seal_sum(f, 0, 512, 64);
    if (size >= 512)
        seal_sum(f, size - 512, 512, 64);
    if (get(f, place, sizeof place, 16))
        seal_sum(f, be64_load(place), 1024, 36);
}

void harness_seal(const char *format, struct file *f, bool as_it_is)
{
    if (!strcmp(format, "luks"))
        seal_luks(f);
    if (!strcmp(format, "vhdx") && !as_it_is)
        seal_vhdx(f);
    if (!strcmp(format, "vpc") && !as_it_is)
        seal_vpc(f);
}
