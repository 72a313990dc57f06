/*
 * Output that is never half there.
 *
 * A new regular file grows under a temporary name beside its final name and is renamed when it is
 * whole and synced. What is no regular file (a device, /dev/stdout), and what the user asked to be
 * written in place (FILE_EXISTING), keeps its name: then `temp` equals `final`. So does an existing
 * file that a rename cannot replace for what it is: one that has further names (hard links), that
 * is mounted by itself (a container's volume), or that stands in a folder where we may not create.
 *
 * One rank (rank 0) begins and ends an output; the others open output_temp() by name. An image of
 * several files is one output: its further files are members, which get their names just before it.
 */
#ifndef IO_OUTPUT_H
#define IO_OUTPUT_H

#include "io/file.h"

struct output;

/* Decide where `path` grows and create that file, empty and locked against others; the final name,
 * if it stands, is locked against writers too. A symbolic link is followed: the file it points to
 * is replaced. A stale temporary file that nobody holds is removed. The name is that of the final
 * file with a suffix of ours (".mpi-img-part"), in the same folder. The lock is always the
 * writer's, whatever `o` says. */
int output_begin(const char *path, const struct file_options *o, struct output **out,
                 struct err *e);

/* The same for what a protocol node names: a path, or a device or an export of a server, which must
 * be there and is written in place. Such an output is opened by its node on other ranks. */
int output_begin_node(const json_t *node, const struct file_options *o, struct output **out,
                      struct err *e);

/* The same for an output that a stopped run leaves unfinished (output_keep), so that a later one
 * may go on with it: with `go_on`, the temporary file that stands there is opened as it is. What
 * would be written in place is refused, and so are members. */
int output_begin_lasting(const json_t *node, const struct file_options *o, bool go_on,
                         struct output **out, struct err *e);

/* The names that go with an output. A journal belongs to the temporary file beside it: whoever
 * begins a new one removes it. */
struct output_names {
    char *final, *temp, *journal; /* NULL: the node is no plain file */
};
int output_names(const json_t *node, struct output_names *out, struct err *e);
void output_names_release(struct output_names *n);

/* What was no regular file keeps its length, and with it the image that it held: that one is made
 * to be none. Due before the first write, when all is known to fit. */
int output_clear(struct output *o, struct err *e);

struct file *output_file(struct output *o);      /* opened read-write; the output's, not yours */
const char *output_temp(const struct output *o); /* the name to open on other ranks */
bool output_in_place(const struct output *o);
bool output_has_members(const struct output *o); /* output_member has made some */

/* A further file of this output, to stand under `path`; begun, committed and abandoned with it. The
 * file is the caller's to close, and to close before the commit. */
int output_member(struct output *o, const char *path, struct file **out, struct err *e);
/* Another rank: open what output_member of the same path made. */
int output_member_join(const char *path, const struct file_options *o, struct file **out,
                       struct err *e);

/* All that is written so far is on storage, and dropped from this machine's page cache: what is
 * read of the temporary files from now on is what will be found under the final names. */
int output_sync(struct output *o, struct err *e);

/* Sync (unless the cache mode is unsafe), close, give it the mode and owner of the file that stood
 * there, rename to the final name, sync the folder. Frees o, also on failure (then as
 * output_abandon, or output_keep for one that lasts). */
int output_commit(struct output *o, struct err *e);

/* Remove the temporary file, keep what stood under the final name. Returns whether something was
 * removed, so that the caller can say so (name: of a buffer of PATH_MAX, may be NULL). Frees o;
 * NULL is fine. */
bool output_abandon(struct output *o, char *name);

/* Close the temporary file and leave it there. Frees o; NULL is fine. */
void output_keep(struct output *o);

#endif
