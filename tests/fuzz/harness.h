/* What both the fuzzers and the test of the samples run. */
#ifndef TESTS_FUZZ_HARNESS_H
#define TESTS_FUZZ_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/file.h"

/*
 * Images of some formats are mostly holes. So that a fuzzer has little to change, an input may be a
 * list of what stands in the file, behind these eight bytes; all else is the image itself.
 *
 *   magic 8 | size of the file 8 | offset 8, length 4, bytes | ...        (little-endian)
 */
#define HARNESS_MAGIC    "sparse:\n"
#define HARNESS_HEAD     16u
#define HARNESS_RECORD   12u
#define HARNESS_FILE_MAX (UINT64_C(1) << 24) /* of a file that is given as a list */

/* Read an image of that format out of an input, in every way there is. Ends the process if what a
 * driver says does not hold together. */
void harness_run(const char *format, const uint8_t *input, size_t n);

/* seal.c: the file is open for writing. */
void harness_seal(const char *format, struct file *f, bool as_it_is);

#endif
