/* How long images took: the slowest ones, and how many took how long. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "report/markup.h"
#include "report/page_parts.h"

#define SLOWEST_SHOWN 12
#define LEAST_SECONDS 1e-3
#define PER_TEN       6 /* bars of the histogram for a factor of ten */
#define BARS_MAX      60
#define BARS_HEIGHT   230

static bool done(const struct history_image *i)
{
    return i->status == HISTORY_DONE;
}

/* ---- the slowest ----------------------------------------------------------------------------- */

static void put_where(FILE *out, const struct history_image *i)
{
    if (i->spread && i->lanes)
        fprintf(out, "%zu ranks", i->lanes);
    else if (i->rank >= 0)
        fprintf(out, "rank %d", i->rank);
}

static void put_slow(FILE *out, const struct history_image *i, double longest)
{
    double rate = i->seconds > 0 ? (double)i->bytes / i->seconds : 0;
    fputs("<tr><th scope=\"row\" title=\"", out);
    markup_cut(out, i->target, PAGE_NAME_CUT);
    fputs("\"><bdi>", out);
    markup_cut(out, page_name_of(i->target), PAGE_NAME_CUT);
    fprintf(out,
            "</bdi></th><td class=\"n\">%s</td><td><svg class=\"bar\" height=\"10\" "
            "aria-hidden=\"true\"><rect class=\"%s\" width=\"%s%%\" height=\"10\"/></svg></td>"
            "<td class=\"n\">%s</td><td class=\"n\">%s</td><td>",
            shown_span(i->seconds).text, i->spread ? "spread" : "done",
            shown_at(longest > 0 ? 100 * i->seconds / longest : 0).text,
            shown_size((double)i->bytes).text, shown_rate(rate).text);
    put_where(out, i);
    fputs("</td></tr>\n", out);
}

static void put_slowest(FILE *out, const struct history_image **list, size_t n)
{
    fputs("<div><h2 id=\"slowest\">Slowest images</h2><div class=\"wide\" tabindex=\"0\" "
          "role=\"region\" aria-label=\"Slowest images\"><table class=\"slow\"><thead><tr>"
          "<th scope=\"col\">Target</th>"
          "<th scope=\"col\" class=\"n\">Time</th><th scope=\"col\"><span class=\"unseen\">Compared"
          "</span></th><th scope=\"col\" class=\"n\">Data moved</th><th scope=\"col\" class=\"n\">"
          "Rate</th><th scope=\"col\">Where</th></tr></thead><tbody>\n",
          out);
    for (size_t k = 0; k < num_min(n, SLOWEST_SHOWN); k++)
        put_slow(out, list[k], list[0]->seconds);
    fputs("</tbody></table></div></div>\n", out);
}

/* ---- how long they took ---------------------------------------------------------------------- */

/* Bars of equal width: from 1 to 1.5 seconds, to 2, 3, 5, 7, 10, 15 and so on. */
struct histogram {
    double low; /* position of the first bar */
    size_t bars, bar[BARS_MAX], highest;
};

static const double edges[PER_TEN + 1] = {1, 1.5, 2, 3, 5, 7, 10};

/* In bars from one second on. */
static double position(double seconds)
{
    double ten = floor(log10(fmax(seconds, LEAST_SECONDS)) + 1e-9);
    double digits = fmax(seconds, LEAST_SECONDS) / pow(10, ten);
    size_t k = 0;
    while (k + 1 < PER_TEN && digits >= edges[k + 1])
        k++;
    return PER_TEN * ten + (double)k + (digits - edges[k]) / (edges[k + 1] - edges[k]);
}

/* `list` is sorted, the slowest first. */
static void histogram_make(struct histogram *h, const struct history_image **list, size_t n)
{
    double first = floor(position(list[n - 1]->seconds));
    *h = (struct histogram){.low = first};
    for (size_t k = n; k-- > 0;) {
        size_t bar = (size_t)(position(list[k]->seconds) - first);
        bar = bar < BARS_MAX ? bar : BARS_MAX - 1;
        h->bar[bar]++;
        h->bars = bar + 1;
        h->highest = h->bar[bar] > h->highest ? h->bar[bar] : h->highest;
    }
}

static double histogram_at(const struct histogram *h, double seconds)
{
    return fmin(fmax(100 * (position(seconds) - h->low) / (double)h->bars, 0), 100);
}

static double bar_seconds(const struct histogram *h, size_t bar)
{
    double at = h->low + (double)bar, ten = floor(at / PER_TEN);
    return edges[(size_t)(at - PER_TEN * ten)] * pow(10, ten);
}

static struct shown shown_edge(double seconds)
{
    struct shown s;
    bool ms = seconds < 0.9995;
    if (seconds >= 59.95)
        return shown_span(seconds);
    snprintf(s.text, sizeof s.text, ms ? "%.3g ms" : "%.3g s", ms ? seconds * 1000 : seconds);
    return s;
}

static void put_bars(FILE *out, const struct histogram *h)
{
    for (size_t k = 0; k < h->bars; k++) {
        double height = (BARS_HEIGHT - 32) * (double)h->bar[k] / (double)h->highest;
        if (!h->bar[k])
            continue;
        height = fmax(height, 2);
        fprintf(out,
                "<rect class=\"done\" x=\"%s%%\" width=\"%s%%\" y=\"%s\" height=\"%s\"><title>%s "
                "images took %s to %s</title></rect>",
                shown_at(100.0 * (double)k / (double)h->bars).text,
                shown_at(94.0 / (double)h->bars).text, shown_at(BARS_HEIGHT - height).text,
                shown_at(height).text, shown_count(h->bar[k]).text,
                shown_edge(bar_seconds(h, k)).text, shown_edge(bar_seconds(h, k + 1)).text);
    }
}

static void put_mark(FILE *out, const struct histogram *h, double seconds, const char *word,
                     unsigned y)
{
    double at = histogram_at(h, seconds);
    fprintf(out,
            "<line class=\"mark\" x1=\"%s%%\" x2=\"%s%%\" y1=\"%u\" y2=\"%d\"/>"
            "<text class=\"%s\" x=\"%s%%\" y=\"%u\">%s</text>",
            shown_at(at).text, shown_at(at).text, y, BARS_HEIGHT, at > 70 ? "before" : "after",
            shown_at(at).text, y + 8, word);
}

static void put_seconds(FILE *out, const struct histogram *h)
{
    bool many = h->bars > 4 * PER_TEN;
    fputs("<svg class=\"marks\" height=\"18\" aria-hidden=\"true\">", out);
    for (size_t k = 0; k <= h->bars; k++) {
        double digit = fmod(h->low + (double)k + PER_TEN * 100, PER_TEN);
        if (digit != 0 && (many || digit != 3))
            continue;
        double at = 100.0 * (double)k / (double)h->bars;
        fprintf(out, "<text class=\"%s\" x=\"%s%%\" y=\"13\">%s</text>",
                k == 0    ? "first"
                : at > 92 ? "last"
                          : "even",
                shown_at(at).text, shown_edge(bar_seconds(h, k)).text);
    }
    fputs("</svg>", out);
}

static void put_histogram(FILE *out, const struct history_image **list, size_t n,
                          const struct totals *t)
{
    struct histogram h;
    histogram_make(&h, list, n);
    fprintf(out,
            "<div><h2>Seconds an image</h2><figure class=\"chart histogram\"><svg class=\"area\" "
            "height=\"%d\" role=\"img\" aria-label=\"How many images took how long: half of them "
            "up to %s, ",
            BARS_HEIGHT, shown_span(t->median).text);
    fprintf(out, "95 %% up to %s\">", shown_span(t->p95).text);
    put_bars(out, &h);
    put_mark(out, &h, t->median, "median", 0);
    put_mark(out, &h, t->p95, "95 %", 14);
    fprintf(out, "<line class=\"ground\" x2=\"100%%\" y1=\"%d.5\" y2=\"%d.5\"/></svg>",
            BARS_HEIGHT - 1, BARS_HEIGHT - 1);
    put_seconds(out, &h);
    fputs("</figure></div>\n", out);
}

int page_slowest(FILE *out, const struct history *h, const struct totals *t, struct err *e)
{
    size_t n;
    AUTO_FREE const struct history_image **list = page_select(h, done, &n, e);
    if (!list)
        return -1;
    if (!n)
        return 0;
    qsort(list, n, sizeof(void *), page_compare_slow);
    fputs("<section class=\"card sides\" aria-labelledby=\"slowest\">\n", out);
    put_slowest(out, list, n);
    put_histogram(out, list, n, t);
    fputs("</section>\n", out);
    return 0;
}
