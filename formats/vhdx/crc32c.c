/* Eight bytes a step, by eight tables: table k holds what a byte does that k more bytes follow. */
#include "formats/vhdx/crc32c.h"

#include <pthread.h>

#include "base/bytes.h"

#define POLYNOMIAL UINT32_C(0x82f63b78) /* bits reversed */

static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void tables_make(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
        tables[0][i] = crc;
    }
    for (unsigned k = 1; k < 8; k++)
        for (unsigned i = 0; i < 256; i++)
            tables[k][i] = (tables[k - 1][i] >> 8) ^ tables[0][tables[k - 1][i] & 255];
}

static uint32_t step8(uint32_t crc, const uint8_t *p)
{
    uint32_t low = crc ^ le32_load(p), high = le32_load(p + 4);
    return tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^
           tables[4][low >> 24] ^ tables[3][high & 255] ^ tables[2][high >> 8 & 255] ^
           tables[1][high >> 16 & 255] ^ tables[0][high >> 24];
}

uint32_t crc32c(uint32_t crc, const void *buf, size_t len)
{
    const uint8_t *p = buf;
    pthread_once(&tables_once, tables_make);
    crc = ~crc;
    for (; len >= 8; len -= 8, p += 8)
        crc = step8(crc, p);
    for (; len; len--, p++)
        crc = (crc >> 8) ^ tables[0][(crc ^ *p) & 255];
    return ~crc;
}
