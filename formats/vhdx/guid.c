#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "formats/vhdx/vhdx.h"

const struct vhdx_guid vhdx_guid_none;

struct vhdx_guid vhdx_guid_load(const uint8_t *p)
{
    struct vhdx_guid g;
    memcpy(g.byte, p, sizeof g.byte);
    return g;
}

bool vhdx_guid_equal(const struct vhdx_guid *a, const struct vhdx_guid *b)
{
    return !memcmp(a->byte, b->byte, sizeof a->byte);
}

/* On disk the first three fields are little-endian, so that the version stands in byte 7. */
struct vhdx_guid vhdx_guid_make(const uint8_t *random)
{
    struct vhdx_guid g = vhdx_guid_load(random);
    g.byte[7] = (g.byte[7] & 0x0f) | 0x40;
    g.byte[8] = (g.byte[8] & 0x3f) | 0x80;
    return g;
}

int vhdx_guid_new(struct vhdx_guid *out, struct err *e)
{
    uint8_t random[16];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return err_errno(e, errno, "No random numbers");
    *out = vhdx_guid_make(random);
    return 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool vhdx_guid_parse(const char *text, struct vhdx_guid *out)
{
    static const uint8_t place[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    bool braces = *text == '{';
    text += braces;
    for (unsigned i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return false;
        int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
        if (low < 0)
            return false;
        out->byte[place[i]] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return !strcmp(text, braces ? "}" : "");
}
