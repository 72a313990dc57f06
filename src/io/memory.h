/* A file in memory: for tests and fuzzing. */
#ifndef IO_MEMORY_H
#define IO_MEMORY_H

#include "io/file_ops.h"

/* A growing regular file that begins with a copy of `data`; blocks that were never written are
 * holes. It can be made as long as any file, and written below 1 TiB. */
int memory_new(const char *name, const void *data, size_t len, struct file **out, struct err *e);

#endif
