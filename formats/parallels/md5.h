/* MD5 (RFC 1321), which guards the Format Extension against accidents. */
#ifndef FORMATS_PARALLELS_MD5_H
#define FORMATS_PARALLELS_MD5_H

#include <stddef.h>
#include <stdint.h>

#define MD5_SIZE 16u

struct md5 {
    uint32_t state[4];
    uint64_t length;
    uint8_t block[64];
};

void md5_init(struct md5 *m);
void md5_add(struct md5 *m, const void *data, size_t n);
void md5_end(struct md5 *m, uint8_t out[MD5_SIZE]);

#endif
