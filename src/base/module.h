/* Parts of the program that are shared objects of their own, for the libraries that they need: the
 * program starts quickly, and where a library is not installed. */
#ifndef BASE_MODULE_H
#define BASE_MODULE_H

#include "base/err.h"

/* The symbol `symbol` of the module `file` ("mpi-img-nbd.so"), which is looked for where the
 * program was installed and beside it; MPI_IMG_MODULE_DIR names the only folder. `what` is for
 * messages ("the NBD module"). `global`: libraries of the module find its symbols. NULL with the
 * error set. Never unloaded. */
void *module_symbol(const char *file, const char *what, const char *symbol, int global,
                    struct err *e);

#endif
