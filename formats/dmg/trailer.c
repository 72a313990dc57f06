#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "formats/dmg/dmg.h"

#define TRAILER_SIZE 512u
/* Some tools leave up to a sector behind it. */
#define TRAILER_SEARCH (2 * TRAILER_SIZE - 1)

void dmg_trailer_load(struct dmg_trailer *t, const uint8_t *koly)
{
    t->data_fork = be64_load(koly + 0x18);
    t->fork = be64_load(koly + 0x28);
    t->fork_len = be64_load(koly + 0x30);
    t->segments = be32_load(koly + 0x3c);
    t->plist = be64_load(koly + 0xd8);
    t->plist_len = be64_load(koly + 0xe0);
    t->sectors = be64_load(koly + 0x1ec);
}

static int trailer_check(const struct dmg_trailer *t, uint64_t size, struct err *e)
{
    if (t->segments > 1)
        return err_set(e, ENOTSUP, "dmg image in %u segments is not supported", t->segments);
    if (!num_inside(t->fork, t->fork_len, size))
        return err_set(e, EINVAL, "Resource fork is outside of the dmg file");
    if (!num_inside(t->plist, t->plist_len, size))
        return err_set(e, EINVAL, "Property list is outside of the dmg file");
    if (!t->fork_len && !t->plist_len)
        return err_set(e, EINVAL, "dmg file has neither resource fork nor property list");
    if (t->data_fork > size)
        return err_set(e, EINVAL, "Data fork is outside of the dmg file");
    if (t->sectors > DMG_SECTORS_MAX)
        return err_set(e, EFBIG, "dmg file has too many sectors");
    return 0;
}

/* The last place where it can stand. */
static const uint8_t *trailer_find(const uint8_t *end, size_t n)
{
    for (size_t at = n - TRAILER_SIZE + 1; at-- > 0;)
        if (!memcmp(end + at, "koly", 4))
            return end + at;
    return NULL;
}

int dmg_trailer_read(struct file *f, struct dmg_trailer *t, struct err *e)
{
    uint8_t end[TRAILER_SEARCH];
    uint64_t size = file_size(f);
    size_t n = num_min(size, sizeof end);
    if (!n)
        return err_set(e, EINVAL, "dmg file must be at least 512 bytes long");
    if (file_read(f, end, n, size - n, e))
        return err_prefix(e, "Could not read the trailer: ");
    const uint8_t *koly = n < TRAILER_SIZE ? NULL : trailer_find(end, n);
    if (!koly)
        return err_set(e, EINVAL, "Could not locate UDIF trailer in dmg file");
    dmg_trailer_load(t, koly);
    return trailer_check(t, size, e);
}
