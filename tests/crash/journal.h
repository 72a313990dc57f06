/* What the recorder writes and the replayer reads: one record for each change of a file. */
#ifndef TESTS_CRASH_JOURNAL_H
#define TESTS_CRASH_JOURNAL_H

#include <stdint.h>

enum journal_kind {
    JOURNAL_WRITE = 1, /* `length` bytes follow */
    JOURNAL_ZERO,      /* the range reads as zeros; the file grows over it if `grows` */
    JOURNAL_TRUNCATE,  /* the file ends at `offset` */
    JOURNAL_SYNC       /* what was done to this file before is on storage */
};

#define JOURNAL_NAME 64

struct journal_record {
    uint32_t kind;
    uint32_t grows;
    uint64_t offset, length;
    char file[JOURNAL_NAME]; /* its name in the folder */
};

#endif
