#include "image/gate.h"

#include <errno.h>

int gate_backing(const struct image *overlay, const char *name, struct err *e)
{
    (void)overlay;
    return *name ? 0 : err_set(e, EINVAL, "Backing file name is empty");
}

int gate_member(const struct image *img, const char *name, struct err *e)
{
    (void)img;
    return *name ? 0 : err_set(e, EINVAL, "The 'file' block driver requires a file name");
}
