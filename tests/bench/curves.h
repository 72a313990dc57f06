/* Curves over a logarithmic axis, drawn as SVG. */
#ifndef TESTS_BENCH_CURVES_H
#define TESTS_BENCH_CURVES_H

#include <math.h>
#include <stdio.h>

#define CURVES_MAX   6
#define CURVE_POINTS 16

struct curve {
    char name[64];
    unsigned n;
    double x[CURVE_POINTS]; /* from 1, doubled each time */
    double y[CURVE_POINTS]; /* 0 to 1, in percent */
};

struct curves {
    const char *title, *x, *y;
    char note[200];
    unsigned n;
    struct curve curve[CURVES_MAX];
};

enum {
    CURVES_W = 760,
    CURVES_H = 440,
    CURVES_L = 70,
    CURVES_T = 50,
    CURVES_PW = 640,
    CURVES_PH = 300
};

static inline double curves_x(const struct curves *c, double x)
{
    double most = c->n && c->curve[0].n > 1 ? log2(c->curve[0].x[c->curve[0].n - 1]) : 1;
    return CURVES_L + CURVES_PW * log2(x) / most;
}

static inline double curves_y(double y)
{
    return CURVES_T + CURVES_PH * (1 - (y > 1 ? 1 : y));
}

static inline void curves_axes(const struct curves *c, FILE *f)
{
    for (int p = 0; p <= 100; p += 20)
        fprintf(f,
                "<line x1='%d' x2='%d' y1='%.1f' y2='%.1f' stroke='#ddd'/>"
                "<text x='%d' y='%.1f' text-anchor='end'>%d %%</text>\n",
                CURVES_L, CURVES_L + CURVES_PW, curves_y(p / 100.0), curves_y(p / 100.0),
                CURVES_L - 8, curves_y(p / 100.0) + 4, p);
    for (unsigned i = 0; c->n && i < c->curve[0].n; i++)
        fprintf(f,
                "<line x1='%.1f' x2='%.1f' y1='%d' y2='%d' stroke='#eee'/>"
                "<text x='%.1f' y='%d' text-anchor='middle'>%.0f</text>\n",
                curves_x(c, c->curve[0].x[i]), curves_x(c, c->curve[0].x[i]), CURVES_T,
                CURVES_T + CURVES_PH, curves_x(c, c->curve[0].x[i]), CURVES_T + CURVES_PH + 18,
                c->curve[0].x[i]);
    fprintf(f, "<text x='%d' y='%d' text-anchor='middle'>%s</text>\n", CURVES_L + CURVES_PW / 2,
            CURVES_T + CURVES_PH + 38, c->x);
}

static inline void curves_line(const struct curves *c, unsigned i, FILE *f)
{
    static const char *const colours[CURVES_MAX] = {"#1b6ca8", "#d1495b", "#2e8b57",
                                                    "#8e5ea2", "#c98b1f", "#555555"};
    const struct curve *k = &c->curve[i];
    fprintf(f, "<polyline fill='none' stroke-width='2' stroke='%s' points='", colours[i]);
    for (unsigned p = 0; p < k->n; p++)
        fprintf(f, "%.1f,%.1f ", curves_x(c, k->x[p]), curves_y(k->y[p]));
    fprintf(f, "'/>\n");
    for (unsigned p = 0; p < k->n; p++)
        fprintf(
            f,
            "<circle r='3' fill='%s' cx='%.1f' cy='%.1f'><title>%.0f: %.1f %%</title></circle>\n",
            colours[i], curves_x(c, k->x[p]), curves_y(k->y[p]), k->x[p], 100 * k->y[p]);
    double y = CURVES_T + CURVES_PH - 14 - 18.0 * (c->n - 1 - i);
    fprintf(
        f,
        "<rect x='%d' y='%.1f' width='14' height='4' fill='%s'/><text x='%d' y='%.1f'>%s</text>\n",
        CURVES_L + 12, y - 6, colours[i], CURVES_L + 32, y, k->name);
}

static inline int curves_draw(const struct curves *c, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        return -1;
    }
    fprintf(f,
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' height='%d' "
            "font-family='sans-serif' font-size='12'>\n<rect width='100%%' height='100%%' "
            "fill='white'/>\n<text x='%d' y='26' font-size='16'>%s</text>\n",
            CURVES_W, CURVES_H, CURVES_W, CURVES_H, CURVES_L, c->title);
    curves_axes(c, f);
    for (unsigned i = 0; i < c->n; i++)
        curves_line(c, i, f);
    fprintf(f, "<text x='%d' y='%d' fill='#666'>%s</text>\n</svg>\n", CURVES_L, CURVES_H - 16,
            c->note);
    return fclose(f) ? -1 : 0;
}

#endif
