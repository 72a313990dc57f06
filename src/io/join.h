/*
 * Opening on one machine what rank 0, on another, has just made or opened.
 *
 * A client of a shared file system believes for a while what it has once seen of a folder: that
 * there is no such file, or that a name still stands for an older one, which is somebody's image by
 * now. So what was opened is compared with what rank 0 has, and when it is not there, or is another
 * file, the folder is looked at anew and it is tried again, for a few seconds.
 */
#ifndef IO_JOIN_H
#define IO_JOIN_H

#include "io/file.h"

/* How often it was tried. Begin with zeros. */
struct join {
    unsigned n;
};

/* After an attempt that failed with errno value `no`, or found another file (ESTALE): look at the
 * folder of `path` anew and wait. False: it is no use to try again. */
bool join_again(struct join *j, const char *path, int no);

/* What this machine believes of the folder of `path` is forgotten. */
void join_look(const char *path);

enum join_verdict { JOIN_SAME, JOIN_OTHER, JOIN_UNSURE };
/* Is it the file that has this inode for rank 0? 0: rank 0 does not know. UNSURE: the numbers
 * differ, but may be this mount's own. */
enum join_verdict join_compare(const struct file *f, uint64_t inode);
/* Was it tried so often that what is unsure must be right? */
bool join_is_enough(const struct join *j, enum join_verdict v);

bool join_is_nfs(const struct file *f);
bool join_is_on_nfs(const char *path); /* is its folder? */

/* Open `path`, which rank 0 has made and knows by that inode. */
int join_open(const char *path, uint64_t inode, const struct file_options *o, struct file **out,
              struct err *e);

/* The error of a name that stands for another file here. */
int join_other(const char *path, struct err *e);

#endif
