/*
 * The state of a file, by which a later run knows that it has not changed: {"size": n, "mtime":
 * nanoseconds, "inode": n}.
 */
#ifndef FLEET_STATE_H
#define FLEET_STATE_H

#include <stdint.h>

#include <jansson.h>

/* New reference; null for what is no regular file or block device here (a server's export, one that
 * is missing). NULL: no memory. */
json_t *fleet_state(const char *path);

/* Bytes that the file takes on its storage; 0 if that is not known. */
uint64_t fleet_allocated(const char *path);

#endif
