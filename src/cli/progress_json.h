/*
 * Progress for programs: lines of JSON, each written at once, at most four a second.
 *
 *     {"image":"disk.qcow2","bytes":1048576,"total":8388608,"percent":12.50,"rate":524288,
 *      "seconds":2.0,"seconds-left":14.0}
 *
 * bytes of total are done; where something is done twice (written, read back) it counts twice. rate
 * is bytes a second so far. What is not known is null. The first line comes when the amount is
 * known, the last one of a run that ends well has percent 100.
 */
#ifndef CLI_PROGRESS_JSON_H
#define CLI_PROGRESS_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct progress_json {
    bool on;
    int fd;
    char *image; /* as JSON */
    uint64_t done, total;
    double began, told; /* seconds */
    bool ended;
};

/* Takes fd. */
int progress_json_begin(struct progress_json *p, int fd, const char *image, struct err *e);
/* These do nothing unless it has begun. */
void progress_json_count(struct progress_json *p, uint64_t done, uint64_t total);
void progress_json_update(struct progress_json *p, double percent);
void progress_json_end(struct progress_json *p);

#endif
