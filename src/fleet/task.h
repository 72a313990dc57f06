/*
 * What rank 0 gives a worker to do: the bytes that come with a unit.
 *
 *   WHOLE   an image, from beginning to end
 *   BEGIN   rank 0: open a large image and plan it
 *   CHUNK   a chunk of a large image, in one of its stages
 *   SYNC    what this rank has written of it is on storage; it may be the last of the stage here
 *   NEXT    rank 0: a stage is through; begin the next, or give the output its name
 *   END     rank 0: it has failed or is stopped
 */
#ifndef FLEET_TASK_H
#define FLEET_TASK_H

#include <stdint.h>

#include "base/err.h"
#include "mpi/unit.h"

enum task_kind { TASK_WHOLE, TASK_BEGIN, TASK_CHUNK, TASK_SYNC, TASK_NEXT, TASK_END, TASK_KINDS };

/* Of a large image. Passes are those of flow/conversion.h. */
enum task_stage { STAGE_DATA, STAGE_HASH, STAGE_VERIFY, STAGE_DONE };

struct task {
    uint32_t kind;
    uint32_t stage;
    uint32_t slot;    /* CHUNK: of the image's own slots in this worker */
    uint32_t workers; /* that share the rate limit of a large image; all */
    uint64_t key;     /* of this attempt at a large image */
    uint64_t chunk;
    uint64_t rate;   /* bytes a second of the fleet for this unit; 0 = no limit */
    uint32_t settle; /* SYNC: sync */
    uint32_t leave;  /* SYNC: close what is open of it here; END: it is stopped, not failed */
    uint32_t n_record, n_plan;
    /* not sent as they are: what follows */
    const char *record; /* JSON; with WHOLE, BEGIN, and CHUNK to a rank that may not know it */
    const void *plan;   /* with CHUNK likewise */
};

/* The bytes of the last task packed; freed by task_bytes_release. */
struct task_bytes {
    unsigned char *data;
    size_t len, room;
};
int task_pack(struct task_bytes *to, const struct task *t, struct err *e);
void task_bytes_release(struct task_bytes *b);

/* Points into the blob. */
int task_unpack(struct task *t, const struct blob *from, struct err *e);

#endif
