/* A quantity over time: amounts that came about between two moments, summed up in equal bins. */
#ifndef REPORT_CURVE_H
#define REPORT_CURVE_H

#include <stddef.h>

#define CURVE_BINS 240

struct curve {
    double begin, width; /* of a bin, in seconds */
    double bin[CURVE_BINS];
};

void curve_init(struct curve *c, double begin, double end);
/* `amount` came about evenly from `from` to `to`; what lies outside the curve's time is left out.
 */
void curve_add(struct curve *c, double from, double to, double amount);
double curve_highest(const struct curve *c);
/* Each bin becomes its amount a second. */
void curve_per_second(struct curve *c);

#endif
