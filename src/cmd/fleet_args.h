/* fleet's command line. */
#ifndef CMD_FLEET_ARGS_H
#define CMD_FLEET_ARGS_H

#include <jansson.h>

#include "cmd/command.h"
#include "cmd/open.h"
#include "fleet/manifest.h"

/* --hash, --hash=ALGORITHM/SIZE */
struct fleet_hash_arg {
    bool given;
    const char *text; /* NULL: the usual one */
};

struct fleet_args {
    struct engine_args engine;
    struct text_list objects;
    struct progress_arg progress;
    bool quiet;

    /* which images */
    const char *from, *to, *glob;

    /* defaults of all records */
    const char *source_format; /* -f */
    const char *target_format; /* -O */
    struct text_list options;  /* -o */
    bool compress;             /* -c */
    const char *sparse;        /* -S */
    const char *backing;       /* -B */
    const char *backing_format;
    const char *snapshot; /* -l */
    uint64_t level;
    struct fleet_hash_arg hash;
    bool verify, safe, salvage;
    const char *max_size;

    /* the run */
    bool dry_run;
    const char *results;
    bool space_check_off;
    uint64_t retries;
    bool fail_fast;
    uint64_t max_in_flight;
    uint64_t rate_limit;
    uint64_t whole_below;
    uint64_t time_limit;      /* seconds */
    double progress_interval; /* seconds */
};

extern const struct option_row fleet_rows[];

/* What cannot go together, with the operands. */
int fleet_args_check(const struct fleet_args *a, const struct operands *names, struct err *e);

/* The fields that all records get that do not have them. New reference; NULL with the error set. */
json_t *fleet_args_record(const struct fleet_args *a, struct err *e);

/* Where the results are: --results, MANIFEST.results, or fleet.results. free() it. */
char *fleet_args_results(const struct fleet_args *a, const struct operands *names, struct err *e);

#endif
