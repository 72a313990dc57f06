/*
 * Charts as SVG that fits any width: positions are percentages, curves stand in an inner SVG that
 * is stretched, so text and lines keep their size. No script is needed; details are tooltips
 * (<title>).
 */
#ifndef REPORT_CHART_H
#define REPORT_CHART_H

#include <stdio.h>

#include "report/curve.h"
#include "report/lanes.h"
#include "report/markup.h"

/* The time that a chart spans, with a mark every `step` seconds. */
struct chart_time {
    double begin, length, step;
};

struct chart_time chart_time_of(double begin, double end);

struct chart {
    const char *name; /* its class: the colours are the style's */
    const char *title;
    const char
        *summary; /* said beside the title, and in place of the picture to those who do not see */
    unsigned height; /* of the plot, in pixels */
    double top;      /* the highest value that is shown */
    double step;     /* a line at each multiple of it */
    struct shown (*shown)(double value);
};

/* Where to end an axis for values up to `highest`, and its step: of 1, 2, 5, 10, 20, .. or, for
 * bytes, of the powers of two. */
void chart_scale(struct chart *c, double highest);
void chart_scale_bytes(struct chart *c, double highest);

void chart_begin(FILE *out, const struct chart *c, const struct chart_time *t);
void chart_steps(FILE *out, const struct chart *c, const struct curve *v);
/* A tooltip for each bin, and what is seen of the bin under the pointer. */
void chart_tips(FILE *out, const struct chart *c, const struct chart_time *t,
                const struct curve *v);
void chart_end(FILE *out, const struct chart_time *t);

/* The marks of time below a chart, and their lines in it. */
void chart_time_lines(FILE *out, const struct chart_time *t);
void chart_time_marks(FILE *out, const struct chart_time *t);

void chart_lanes(FILE *out, const struct lanes *l, const struct history_run *r,
                 const struct chart_time *t);

#endif
