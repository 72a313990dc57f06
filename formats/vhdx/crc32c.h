/* CRC-32C (Castagnoli), the checksum of vhdx. */
#ifndef FORMATS_VHDX_CRC32C_H
#define FORMATS_VHDX_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `len` bytes that follow those whose checksum is `crc` (0: none came before). */
uint32_t crc32c(uint32_t crc, const void *buf, size_t len);

#endif
