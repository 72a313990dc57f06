/* The record of an image in the results. */
#ifndef FLEET_RESULT_H
#define FLEET_RESULT_H

#include <stdbool.h>

#include <jansson.h>

#include "base/err.h"
#include "flow/convert.h"

enum result_status { RESULT_DONE, RESULT_FAILED, RESULT_STOPPED };

struct result {
    enum result_status status;
    const char *error;                   /* NULL: none */
    const struct convert_report *report; /* NULL: it was not begun */
    const struct blkhash_params *hash;   /* that was asked for; NULL: none */
    json_t *source_state; /* as it was before; NULL: not known; the reference is kept */
    uint64_t salvaged;    /* sectors that could not be read */
    double start, end;    /* since 1970 */
};

/* New reference; NULL: no memory. `record` is the manifest's. Attempts, lanes, rank and worker are
 * set by others. */
json_t *result_new(const json_t *record, const struct result *r);

#endif
