/*
 * Trace points along the way of the data: -T shows them as they are passed.
 *
 *     TRACE(file_read, name, offset, bytes);
 *
 * All points stand in one table below. One that is off costs a load and a branch. Lines of several
 * threads and processes do not mix: each is one write.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* X(name, what is printed, when it is passed) */
#define TRACE_POINTS(X)                                                                            \
    X(engine_run, "rank %u of %u workers %u", "Work is shared out; ranks count from 0")            \
    X(file_open, "name \"%s\" protocol %s write %d size %" PRIu64,                                 \
      "A file, device or export was opened")                                                       \
    X(join_again, "name \"%s\" time %u errno %d",                                                  \
      "a file that another rank has made is looked for once more")                                 \
    X(file_lock, "name \"%s\" from %d to %d",                                                      \
      "A lock changes: 0 none, 1 reader, 2 shared, 3 writer")                                      \
    X(file_read, "name \"%s\" offset %" PRIu64 " bytes %" PRIu64, "Before a read")                 \
    X(file_write, "name \"%s\" offset %" PRIu64 " bytes %" PRIu64, "Before a write")               \
    X(file_zero, "name \"%s\" offset %" PRIu64 " bytes %" PRIu64 " keep %d",                       \
      "Before a range is made zeros; keep: its space stays")                                       \
    X(file_copy,                                                                                   \
      "from \"%s\" offset %" PRIu64 " to \"%s\" offset %" PRIu64 " bytes %" PRIu64                 \
      " copied %" PRIu64,                                                                          \
      "The storage has copied, or has not")                                                        \
    X(file_truncate, "name \"%s\" size %" PRIu64, "Before a file gets another length")             \
    X(file_preallocate, "name \"%s\" offset %" PRIu64 " bytes %" PRIu64 " full %d",                \
      "Before space is reserved; full: by writing zeros")                                          \
    X(file_span, "name \"%s\" offset %" PRIu64 " bytes %" PRIu64 " hole %d",                       \
      "A file has told where it stores something")                                                 \
    X(file_sync, "name \"%s\"", "Before a sync")                                                   \
    X(file_close, "name \"%s\"", "Before a file is closed")                                        \
    X(output_begin, "name \"%s\" temporary \"%s\"", "A new file grows under a temporary name")     \
    X(output_commit, "name \"%s\"", "A new file has got its name")                                 \
    X(output_abandon, "temporary \"%s\"", "An unfinished new file is removed")                     \
    X(image_open, "name \"%s\" format %s size %" PRIu64 " write %d",                               \
      "An image was opened, without what is below it")                                             \
    X(image_map, "name \"%s\" offset %" PRIu64 " bytes %" PRIu64 " kind %d host %" PRIu64,         \
      "A format has told where data is: 0 in the backing image, 1 zeros, 2 plain, 3 packed")       \
    X(image_close, "name \"%s\"", "Before an image is closed")                                     \
    X(edit_begin, "name \"%s\" unit %" PRIu64, "An image that is there is about to change")        \
    X(edit_place, "name \"%s\" offset %" PRIu64 " bytes %" PRIu64 " host %" PRIu64 " fresh %d",    \
      "A format has told where a change is to be written")                                         \
    X(edit_link, "name \"%s\" offset %" PRIu64 " bytes %" PRIu64 " host %" PRIu64,                 \
      "Before a fresh place becomes part of the image")                                            \
    X(edit_zero, "name \"%s\" offset %" PRIu64 " bytes %" PRIu64, "Before a range becomes zeros")  \
    X(edit_discard, "name \"%s\" offset %" PRIu64 " bytes %" PRIu64,                               \
      "Before a range is given back")                                                              \
    X(edit_flush, "name \"%s\"", "Before all changes go to storage")                               \
    X(edit_end, "name \"%s\"", "Before the last of a change")                                      \
    X(unit_given, "unit %" PRIu64 " rank %u worker %u slot %u",                                    \
      "Rank 0 gives a part of the work to a worker")                                               \
    X(unit_prepare, "unit %" PRIu64 " worker %u slot %u",                                          \
      "A worker begins: it reads and squeezes")                                                    \
    X(unit_placed, "unit %" PRIu64 " bytes %zu", "Rank 0 has settled where the unit goes")         \
    X(unit_commit, "unit %" PRIu64 " worker %u slot %u", "A worker writes what was placed")        \
    X(unit_committed, "unit %" PRIu64 " bytes %zu", "Rank 0 knows that the unit is written")       \
    X(checkpoint, "ranks %u", "Before all ranks sync what they wrote, for the journal")            \
    X(unit_failed, "unit %" PRIu64 " error \"%s\"", "A unit has failed")

enum trace_point {
#define TRACE_ENUM(name, format, help) TRACE_##name,
    TRACE_POINTS(TRACE_ENUM)
#undef TRACE_ENUM
        TRACE_N
};

#define TRACE_FORMAT(name, format, help)                                                           \
    static const char trace_format_##name[] __attribute__((unused)) = format;
TRACE_POINTS(TRACE_FORMAT)
#undef TRACE_FORMAT

extern bool trace_on[TRACE_N];

#define TRACE(name, ...)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(trace_on[TRACE_##name], false))                                       \
            trace_pass(TRACE_##name, trace_format_##name, __VA_ARGS__);                            \
    } while (0)

void trace_pass(enum trace_point point, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), cold));

/* ---- which points, and where to ---------------------------------------------------------------
 */

/* Of the table; help is a sentence without its full stop. */
const char *trace_name(enum trace_point point);
const char *trace_help(enum trace_point point);

/* All points whose name fits the pattern (as file names do in a shell). "-pattern" turns them off.
 * false: it is a plain name, and there is no such point. */
bool trace_enable(const char *pattern);

/* Instead of stderr. The file begins empty. */
int trace_to_file(const char *path, struct err *e);

#endif
