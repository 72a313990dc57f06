/*
 * convert: sources joined ──▶ one fresh (or existing) target, on all workers of all ranks.
 */
#ifndef FLOW_CONVERT_H
#define FLOW_CONVERT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "flow/blkhash.h"
#include "flow/progress.h"
#include "formats/options.h"
#include "image/image.h"
#include "mpi/engine.h"

struct convert_source {
    const char *name; /* for messages */
    json_t *spec;     /* borrowed */
};

/* dd: only the bytes from `from` to `to` of the (one) source; the target begins with them. */
struct convert_window {
    bool on;
    uint64_t from, to;
};

struct convert_options {
    const struct convert_source *sources;
    unsigned n_sources;
    const char *source_driver;      /* -f, or NULL */
    struct file_cache source_cache; /* -T */
    bool force_share;               /* -U: sources only */
    struct safety_rules safety;     /* --safe: of the sources; the output has to pass too */
    const char *snapshot;           /* -l, or NULL */
    struct secrets *secrets;

    const char *target;             /* name */
    json_t *target_spec;            /* of the name, or of --target-image-opts; borrowed */
    const char *target_driver;      /* -O; never NULL without -n */
    struct file_cache target_cache; /* -t; durable unless no_flush was asked for by name */
    struct options *options; /* -o, parsed against the target format's table; may be NULL (-n).
                              * size is set by the flow */
    bool no_create;          /* -n */
    bool target_is_zero;
    bool compress;          /* -c */
    int level;              /* --compression-level, 0 = default */
    bool backing_in_target; /* -B or -o backing_file: keep what the source's top leaves out */
    uint64_t sparse_size;   /* -S; 0 = write everything */
    bool copy_offload;      /* -C */
    bool salvage;
    bool quiet;                     /* no salvage warnings */
    void (*warn)(const char *text); /* of what the new file cannot have; may be NULL */
    bool bitmaps, skip_broken_bitmaps;
    uint64_t rate_limit; /* bytes a second over all ranks; 0 = none */
    struct convert_window window;
    struct blkhash_params hash;  /* --hash, --verify */
    bool verify;                 /* read the output back and compare before it gets its name */
    bool is_dd;                  /* the words for a target that cannot be made are those of dd */
    struct file_stripes stripes; /* --stripe-count, --stripe-size: of the target's files */
    uint64_t memory;             /* --memory; 0 = CONVERT_MEMORY_DEFAULT, four times that for images
                                  * of 4 TiB and more */
    bool resume;                 /* keep a journal, and go on with what an earlier run left */
    double time_limit;           /* seconds; 0 = none. With resume: stop before they are over */
};

#define CONVERT_MEMORY_DEFAULT ((uint64_t)256 << 20) /* a rank */

/* With hash.kind: what the sources hold together, each part rounded up to 512 bytes, whatever the
 * target's format does with it. What cannot be read and --salvage makes zeros counts as zeros. */

/* Where warnings go ("error while reading offset 512: ..."): no program name, no newline. */
struct convert_report {
    struct progress progress;
    bool exact; /* -p: look through the map first, so that percent is of data, not of size */
    void (*warn)(void *ctx, const char *text);
    /* Is it to be given up? Asked often, by several threads; NULL: when a signal says so. */
    bool (*give_up)(void *ctx);
    void *ctx;
    /* out */
    uint64_t size;            /* guest bytes of the sources */
    uint64_t data;            /* of them data that was moved */
    char source_format[32];   /* of the first */
    bool skipped_all;         /* the window begins behind the source's end */
    uint8_t hash[DIGEST_MAX]; /* of what the sources hold, if one was asked for */
    uint64_t hash_size;       /* guest bytes that it is about */
    char removed[4096];       /* the unfinished output that was removed, or "" */
    char kept[4096];          /* the unfinished output that can be gone on with, or "" */
    bool stopped;             /* by a signal or the time limit, to be gone on with */
};

/* Every rank calls it with the same options. The error text is whole (with "FILE: error while
 * converting raw: ..." and so on): the caller adds the program's name only. */
int convert_run(struct engine *g, const struct convert_options *o, struct convert_report *r,
                struct err *e);

#endif
