/* differ_map.c and differ.c among themselves. */
#ifndef FLOW_DIFFER_IMPL_H
#define FLOW_DIFFER_IMPL_H

#include "flow/differ.h"

/* "error while reading from old backing file", and why. Returns -1. */
int differ_side_failed(enum differ_side side, struct err *e);

#endif
