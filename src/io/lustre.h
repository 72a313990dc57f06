/*
 * Files with a layout of their own on Lustre. Its library is loaded when a layout is asked for; a
 * file that is created without one inherits that of its folder.
 */
#ifndef IO_LUSTRE_H
#define IO_LUSTRE_H

#include "io/file.h"

/* open(2) of a file that is to be created (O_CREAT is among the flags). A descriptor, or -1; the
 * error's text is whole, its `no` as open(2) has it. */
int lustre_open(const char *path, int flags, unsigned mode, const struct file_stripes *s,
                struct err *e);

#endif
