/* compare: two images, chunk by chunk on all workers; the first difference in guest order wins. */
#ifndef FLOW_COMPARE_H
#define FLOW_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "flow/progress.h"
#include "image/image.h"
#include "mpi/engine.h"

struct compare_options {
    const char *name[2];
    json_t *spec[2];         /* borrowed */
    const char *driver[2];   /* -f, -F, or NULL */
    struct file_cache cache; /* -T */
    bool force_share;
    struct safety_rules safety;
    bool strict; /* -s */
    struct secrets *secrets;
    uint64_t memory; /* 0 = default */
};

enum compare_verdict {
    COMPARE_IDENTICAL,
    COMPARE_CONTENT,      /* "Content mismatch at offset N!" */
    COMPARE_STRICT_SIZE,  /* "Strict mode: Image size mismatch!" */
    COMPARE_STRICT_STATUS /* "Strict mode: Offset N block status mismatch!" */
};

/* Documented exit codes of an error. */
enum compare_failure { COMPARE_OPEN = 2, COMPARE_STATUS = 3, COMPARE_READ = 4 };

struct compare_result {
    enum compare_verdict verdict;
    uint64_t offset;
    bool size_differs;            /* "Warning: Image size mismatch!" is due before the verdict */
    enum compare_failure failure; /* when compare_run returned -1 */
};

int compare_run(struct engine *g, const struct compare_options *o, const struct progress *p,
                struct compare_result *out, struct err *e);

#endif
