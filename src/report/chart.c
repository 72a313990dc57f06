#include "report/chart.h"

#include <math.h>

#include "base/num.h"

#define TIME_MARKS  8
#define VALUE_MARKS 4
#define ABOVE       6 /* pixels above the highest line */

/* ---- scales ---------------------------------------------------------------------------------- */

struct chart_time chart_time_of(double begin, double end)
{
    static const double steps[] = {0.001, 0.002, 0.005, 0.01,   0.02,   0.05,   0.1,  0.2,
                                   0.5,   1,     2,     5,      10,     15,     30,   60,
                                   120,   300,   600,   900,    1800,   3600,   7200, 10800,
                                   21600, 43200, 86400, 172800, 604800, 2592000};
    struct chart_time t = {.begin = begin, .length = end - begin};
    for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
        t.step = steps[k];
        if (t.length <= t.step * TIME_MARKS)
            return t;
    }
    t.step = t.length / TIME_MARKS;
    return t;
}

static void scale_to(struct chart *c, double highest, double step)
{
    c->step = step;
    c->top = fmax(ceil(highest / step - 1e-9), 1) * step;
}

void chart_scale(struct chart *c, double highest)
{
    double rough = fmax(highest / VALUE_MARKS, 1e-3);
    double ten = pow(10, floor(log10(rough)));
    double digit = rough / ten;
    scale_to(c, highest, ten * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10));
}

void chart_scale_bytes(struct chart *c, double highest)
{
    scale_to(c, highest, exp2(ceil(log2(fmax(highest / VALUE_MARKS, 1)))));
}

/* ---- time ------------------------------------------------------------------------------------ */

void chart_time_lines(FILE *out, const struct chart_time *t)
{
    fputs("<path class=\"grid\" d=\"", out);
    for (int k = 1; k * t->step < t->length; k++)
        fprintf(out, "M%s 0V1", shown_at(100 * k * t->step / t->length).text);
    fputs("\"/>", out);
}

static struct shown time_mark(double seconds)
{
    struct shown s = {"0"};
    if (seconds >= 60)
        return shown_span(seconds);
    bool ms = seconds < 0.9995;
    if (seconds > 0)
        snprintf(s.text, sizeof s.text, ms ? "%.3g ms" : "%.3g s", ms ? seconds * 1000 : seconds);
    return s;
}

void chart_time_marks(FILE *out, const struct chart_time *t)
{
    fputs("<svg class=\"marks\" height=\"18\" aria-hidden=\"true\">", out);
    for (int k = 0; k * t->step <= t->length; k++) {
        double at = t->length > 0 ? 100 * k * t->step / t->length : 0;
        const char *anchor = k == 0 ? "first" : at > 96 ? "last" : k % 2 ? "odd" : "even";
        fprintf(out, "<text class=\"%s\" x=\"%s%%\" y=\"13\">%s</text>", anchor, shown_at(at).text,
                time_mark(k * t->step).text);
    }
    fputs("</svg>", out);
}

/* ---- a chart of values over time ------------------------------------------------------------- */

static double height_of(const struct chart *c, double value)
{
    return ABOVE + c->height * (1 - value / c->top);
}

static void value_marks(FILE *out, const struct chart *c)
{
    fprintf(out, "<svg class=\"values\" height=\"%u\" aria-hidden=\"true\">", c->height + ABOVE);
    for (int k = 0; k * c->step <= c->top * (1 + 1e-9); k++) {
        double y = height_of(c, k * c->step);
        fprintf(out, "<text x=\"100%%\" y=\"%s\">%s</text>",
                shown_at(k == 0 ? y - 1 : fmax(y + 4, 11)).text,
                k ? c->shown(k * c->step).text : "0");
    }
    fputs("</svg>", out);
}

static void value_lines(FILE *out, const struct chart *c)
{
    for (int k = 0; k * c->step <= c->top * (1 + 1e-9); k++) {
        double y = round(height_of(c, k * c->step)) - 0.5;
        fprintf(out, "<line class=\"%s\" x2=\"100%%\" y1=\"%s\" y2=\"%s\"/>", k ? "grid" : "ground",
                shown_at(y).text, shown_at(y).text);
    }
}

void chart_begin(FILE *out, const struct chart *c, const struct chart_time *t)
{
    fprintf(out, "<figure class=\"chart %s\"><figcaption><b>%s</b> <span>", c->name, c->title);
    markup_text(out, c->summary);
    fputs("</span></figcaption><div class=\"plot\">", out);
    value_marks(out, c);
    fprintf(out,
            "<svg class=\"area\" height=\"%u\" role=\"img\" aria-label=\"%s: ", c->height + ABOVE,
            c->title);
    markup_text(out, c->summary);
    fputs("\">", out);
    value_lines(out, c);
    fprintf(out,
            "<svg viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" width=\"100%%\" "
            "height=\"%u\">",
            c->height + ABOVE);
    chart_time_lines(out, t);
    fputs("</svg>", out);
}

static void steps_path(FILE *out, const struct chart *c, const struct curve *v)
{
    double y = -1;
    for (size_t k = 0; k < CURVE_BINS; k++) {
        double next = 1000 * (1 - fmin(v->bin[k] / c->top, 1));
        if (fabs(next - y) < 0.5 && k)
            continue;
        if (k)
            fprintf(out, "H%zu", k);
        fprintf(out, "V%.0f", next);
        y = next;
    }
    fprintf(out, "H%d", CURVE_BINS);
}

void chart_steps(FILE *out, const struct chart *c, const struct curve *v)
{
    fprintf(out,
            "<svg viewBox=\"0 0 %d 1000\" preserveAspectRatio=\"none\" y=\"%d\" width=\"100%%\" "
            "height=\"%u\"><path class=\"fill\" d=\"M0 1000",
            CURVE_BINS, ABOVE, c->height);
    steps_path(out, c, v);
    fputs("V1000Z\"/><path class=\"line\" d=\"M0 1000", out);
    steps_path(out, c, v);
    fputs("\"/></svg>", out);
}

void chart_tips(FILE *out, const struct chart *c, const struct chart_time *t, const struct curve *v)
{
    fputs("<g class=\"tips\">", out);
    for (size_t k = 0; k < CURVE_BINS; k++)
        fprintf(out,
                "<rect x=\"%s%%\" width=\"%s%%\" height=\"100%%\"><title>%s\n"
                "%s after the start, %s</title></rect>",
                shown_at(100.0 * (double)k / CURVE_BINS).text, shown_at(100.0 / CURVE_BINS).text,
                c->shown(v->bin[k]).text, shown_span(v->width * (double)k).text,
                shown_clock(t->begin + v->width * (double)k).text);
    fputs("</g>", out);
}

void chart_end(FILE *out, const struct chart_time *t)
{
    fputs("</svg>", out);
    chart_time_marks(out, t);
    fputs("</div></figure>\n", out);
}
