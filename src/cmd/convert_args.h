/* convert's command line. */
#ifndef CMD_CONVERT_ARGS_H
#define CMD_CONVERT_ARGS_H

#include "cmd/command.h"
#include "cmd/hash_args.h"
#include "cmd/open.h"

struct sparse_arg {
    uint64_t size;
    bool given;
};

struct convert_args {
    struct engine_args engine;
    struct image_args image;
    bool target_image_opts;
    bool target_is_zero;
    bool bitmaps, skip_broken_bitmaps;
    bool copy_offload; /* -C */
    bool compress;     /* -c */
    struct progress_arg progress;
    bool quiet;
    bool no_create;             /* -n */
    const char *target_cache;   /* -t */
    const char *source_cache;   /* -T */
    const char *target_format;  /* -O */
    const char *backing;        /* -B */
    const char *backing_format; /* -F */
    struct text_list options;   /* -o */
    const char *snapshot;       /* -l */
    struct sparse_arg sparse;   /* -S */
    uint64_t rate_limit;        /* -r */
    bool out_of_order;          /* -W */
    bool salvage;
    uint64_t level;       /* --compression-level */
    struct hash_arg hash; /* --hash */
    bool verify;
    bool resume;
    uint64_t time_limit; /* seconds */
    struct file_stripes stripes;
};

extern const struct option_row convert_rows[];
void convert_defaults(void *args);

/* What cannot go together. */
int convert_args_check(const struct convert_args *a, struct err *e);

/* -O, or raw. */
const char *convert_target_format(const struct convert_args *a);

#endif
