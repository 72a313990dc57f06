#include "report/curve.h"

#include <math.h>

#include "base/num.h"

#define WIDTH_MIN 1e-6

void curve_init(struct curve *c, double begin, double end)
{
    *c = (struct curve){.begin = begin, .width = fmax((end - begin) / CURVE_BINS, WIDTH_MIN)};
}

static double clamped(double v)
{
    return fmin(fmax(v, 0), CURVE_BINS);
}

/* An amount of one moment is in the bin of that moment. */
static void add_moment(struct curve *c, double at, double amount)
{
    if (at < 0 || at > CURVE_BINS)
        return;
    size_t k = at < CURVE_BINS ? (size_t)at : CURVE_BINS - 1;
    c->bin[k] += amount;
}

void curve_add(struct curve *c, double from, double to, double amount)
{
    double a = (from - c->begin) / c->width, b = (to - c->begin) / c->width;
    if (!(b - a > 1e-9)) {
        add_moment(c, a, amount);
        return;
    }
    double density = amount / (b - a);
    a = clamped(a);
    b = clamped(b);
    for (size_t k = (size_t)a; k < CURVE_BINS && (double)k < b; k++)
        c->bin[k] += density * (fmin(b, (double)k + 1) - fmax(a, (double)k));
}

double curve_highest(const struct curve *c)
{
    double highest = 0;
    for (size_t k = 0; k < CURVE_BINS; k++)
        highest = fmax(highest, c->bin[k]);
    return highest;
}

void curve_per_second(struct curve *c)
{
    for (size_t k = 0; k < CURVE_BINS; k++)
        c->bin[k] /= c->width;
}
