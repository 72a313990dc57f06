#ifndef CLI_VERSION_H
#define CLI_VERSION_H

#include <stdio.h>

/* Two lines: the name and version, with what the program was built with, and the copyright. */
void version_print(FILE *out);

#endif
