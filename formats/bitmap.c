#include "formats/bitmap.h"

#include <stdlib.h>

void bitmap_list_free(struct bitmap *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i].name);
        free(list[i].bits);
    }
    free(list);
}
