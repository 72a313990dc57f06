#include "cli/version.h"

#include <zlib.h>
#include <zstd.h>

#include "cli/message.h"

/* The version whose command line this is. */
#define PEER_VERSION "6.2.0"

#ifndef BUILD_VERSION
#define BUILD_VERSION "0"
#endif
#ifndef BUILD_MPI
#define BUILD_MPI "no MPI"
#endif
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#define BUILD_LIBDEFLATE ", libdeflate " LIBDEFLATE_VERSION_STRING
#else
#define BUILD_LIBDEFLATE ""
#endif
#ifdef HAVE_ISAL
#define BUILD_ISAL ", ISA-L"
#else
#define BUILD_ISAL ""
#endif

void version_print(FILE *out)
{
    fprintf(out,
            "%s version " PEER_VERSION " (mpi-img " BUILD_VERSION ", " BUILD_MPI
            ", zlib %s, zstd %s" BUILD_LIBDEFLATE BUILD_ISAL ")\n"
            "Copyright (c) 2026, the mpi-img authors\n",
            message_program(), zlibVersion(), ZSTD_versionString());
}
