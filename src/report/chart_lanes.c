/* The lanes of a run's ranks as SVG. */
#include "report/chart.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/num.h"

#define LABEL_HEIGHT 13 /* pixels that a rank's name takes */
#define LANE_GAP     5
#define BAR_LEAST    0.12 /* percent of the width: so much is seen */
#define NAME_CUT     120
#define SHADES       6

static const char *const kind_class[LANE_KINDS] = {
    [LANE_DONE] = "done",
    [LANE_SPREAD] = "spread",
    [LANE_STOPPED] = "stopped",
    [LANE_FAILED] = "failed",
};

struct places {
    unsigned row;    /* height of a row, without the gap behind it */
    unsigned gap;    /* behind a row */
    unsigned lane;   /* gap behind a lane */
    unsigned height; /* of all */
};

static struct places places_of(const struct lanes *l)
{
    struct places p = {.row = l->rows <= 24   ? 13
                              : l->rows <= 48 ? 9
                              : l->rows <= 96 ? 6
                                              : 4,
                       .gap = l->rows <= 24 ? 2 : 1};
    p.lane = l->rows > l->lanes ? LANE_GAP : 0;
    p.height = (unsigned)(l->rows * (p.row + p.gap) + l->lanes * p.lane) + 2;
    return p;
}

static unsigned lane_top(const struct places *p, const struct lanes *l, size_t k)
{
    return (unsigned)(l->lane[k].row * (p->row + p->gap) + k * p->lane) + 1;
}

static unsigned lane_height(const struct places *p, const struct lane *lane)
{
    return (unsigned)lane->rows * (p->row + p->gap) - p->gap;
}

/* ---- names ----------------------------------------------------------------------------------- */

static const char *host_of(const struct history_run *r, unsigned rank)
{
    return rank < r->hosts ? r->host[rank] : "";
}

static void lane_title(FILE *out, const struct lane *lane, const struct history_run *r)
{
    fprintf(out, "<title>rank %u", lane->first);
    if (lane->last > lane->first)
        fprintf(out, " to %u", lane->last);
    if (*host_of(r, lane->first)) {
        fputs(" on ", out);
        markup_cut(out, host_of(r, lane->first), NAME_CUT);
    }
    fprintf(out, ": %s workers\n%s images whole, %s in all</title>",
            shown_count(lane->workers).text, shown_count(lane->images).text,
            shown_size((double)lane->bytes).text);
}

static void lane_name(FILE *out, const struct lane *lane, const struct history_run *r, double y)
{
    fprintf(out, "<text x=\"100%%\" y=\"%s\">", shown_at(y).text);
    lane_title(out, lane, r);
    if (lane->last > lane->first)
        fprintf(out, "<tspan>%u to %u</tspan></text>", lane->first, lane->last);
    else
        fprintf(out, "<tspan>rank %u</tspan></text>", lane->first);
}

static void lane_host(FILE *out, const struct lane *lane, const struct history_run *r, double y)
{
    fprintf(out, "<text class=\"host\" x=\"100%%\" y=\"%s\">", shown_at(y).text);
    markup_cut(out, host_of(r, lane->first), 14);
    fputs("</text>", out);
}

/* The host's name stands below the rank's where there is room; a name that has no room is left out.
 */
static void lane_names(FILE *out, const struct lanes *l, const struct history_run *r,
                       const struct places *p)
{
    double free_from = 0;
    fprintf(out, "<svg class=\"values\" height=\"%u\" aria-hidden=\"true\">", p->height);
    for (size_t k = 0; k < l->lanes; k++) {
        unsigned height = lane_height(p, &l->lane[k]);
        double middle = lane_top(p, l, k) + height / 2.0;
        bool both = height >= 2 * LABEL_HEIGHT && *host_of(r, l->lane[k].first);
        double y = fmax(middle + (both ? -2 : 4), 10);
        if (y - LABEL_HEIGHT + 3 < free_from)
            continue;
        lane_name(out, &l->lane[k], r, y);
        if (both)
            lane_host(out, &l->lane[k], r, y + LABEL_HEIGHT);
        free_from = y + (both ? LABEL_HEIGHT : 0);
    }
    fputs("</svg>", out);
}

/* ---- bars ------------------------------------------------------------------------------------ */

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void bar_title(FILE *out, const struct lane_bar *b, const struct chart_time *t)
{
    fputs("<title>", out);
    if (b->images > 1) {
        fprintf(out, "%s images", shown_count(b->images).text);
        if (b->failed)
            fprintf(out, ", %s failed", shown_count(b->failed).text);
    } else {
        markup_cut(out, name_of(b->image->target), NAME_CUT);
    }
    fprintf(out, "\n%s in %s, from %s on", shown_size((double)b->bytes).text,
            shown_span((b->to - b->from) * t->length).text,
            b->from > 0 ? shown_span(b->from * t->length).text : "the start");
    if (b->images == 1 && b->image->status != HISTORY_DONE)
        fprintf(out, "\n%s", history_status_word(b->image->status));
    if (b->images == 1 && *b->image->error) {
        fputs(": ", out);
        markup_cut(out, b->image->error, NAME_CUT);
    }
    fputs("</title>", out);
}

static void put_bar(FILE *out, const struct lane_bar *b, unsigned y, unsigned height,
                    const struct chart_time *t)
{
    double from = 100 * b->from, width = fmax(100 * (b->to - b->from), BAR_LEAST);
    if (width > 4 * BAR_LEAST)
        width -= BAR_LEAST / 2; /* neighbours are told apart */
    fprintf(out, "<rect class=\"%s\" x=\"%s%%\" y=\"%u\" width=\"%s%%\" height=\"%u\">",
            kind_class[b->kind], shown_at(fmin(from, 100 - width)).text, y, shown_at(width).text,
            height);
    bar_title(out, b, t);
    fputs("</rect>", out);
}

/* How many of a row's workers had work: a shade for each run of bins that have the same. */
static void put_shades(FILE *out, const struct curve *c, unsigned y, unsigned height)
{
    size_t from = 0;
    for (size_t k = 1; k <= CURVE_BINS; k++) {
        int shade = (int)ceil(c->bin[from] * (SHADES - 1) - 1e-6);
        if (k < CURVE_BINS && (int)ceil(c->bin[k] * (SHADES - 1) - 1e-6) == shade)
            continue;
        if (shade > 0)
            fprintf(out, "<rect class=\"s%d\" x=\"%s%%\" y=\"%u\" width=\"%s%%\" height=\"%u\"/>",
                    shade, shown_at(100.0 * (double)from / CURVE_BINS).text, y,
                    shown_at(100.0 * (double)(k - from) / CURVE_BINS).text, height);
        from = k;
    }
}

static void put_lane(FILE *out, const struct lanes *l, size_t k, const struct history_run *r,
                     const struct places *p, const struct chart_time *t)
{
    const struct lane *lane = &l->lane[k];
    unsigned top = lane_top(p, l, k);
    fprintf(out, "<g><rect class=\"lane\" y=\"%u\" width=\"100%%\" height=\"%u\">", top,
            lane_height(p, lane));
    lane_title(out, lane, r);
    fputs("</rect>", out);
    for (size_t j = 0; j < lane->rows; j++) {
        const struct lane_row *row = &l->row[lane->row + j];
        unsigned y = top + (unsigned)j * (p->row + p->gap);
        if (row->busy)
            put_shades(out, row->busy, y, p->row);
        for (size_t b = 0; b < row->bars; b++)
            put_bar(out, &row->bar[b], y, p->row, t);
    }
    fputs("</g>\n", out);
}

/* ---- all ------------------------------------------------------------------------------------- */

static void legend(FILE *out, const struct lanes *l)
{
    static const char *const words[LANE_KINDS] = {
        [LANE_DONE] = "whole image",
        [LANE_SPREAD] = "spread over ranks",
        [LANE_STOPPED] = "stopped",
        [LANE_FAILED] = "failed",
    };
    size_t seen[LANE_KINDS] = {0};
    fputs("<span class=\"legend\">", out);
    for (size_t k = 0; k < l->rows; k++)
        for (size_t j = 0; j < l->row[k].bars; j++)
            seen[l->row[k].bar[j].kind]++;
    for (int k = 0; k < LANE_KINDS; k++)
        if (seen[k])
            fprintf(out, "<span class=\"key %s\">%s</span>", kind_class[k], words[k]);
    if (l->dense)
        fputs("<span class=\"key done\">the darker, the more workers had work</span>", out);
    fputs("</span>", out);
}

static void remarks(FILE *out, const struct lanes *l)
{
    if (l->unplaced)
        fprintf(out, "<p class=\"remark\">%s images have no rank or time and are not shown.</p>",
                shown_count(l->unplaced).text);
    if (l->left_out)
        fprintf(out, "<p class=\"remark\">%s bars are left out: too many for a picture.</p>",
                shown_count(l->left_out).text);
}

void chart_lanes(FILE *out, const struct lanes *l, const struct history_run *r,
                 const struct chart_time *t)
{
    if (!l->lanes || t->length <= 0)
        return;
    struct places p = places_of(l);
    fputs("<figure class=\"chart lanes\"><figcaption><b>Ranks and their workers</b> ", out);
    legend(out, l);
    fputs("</figcaption><div class=\"plot\">", out);
    lane_names(out, l, r, &p);
    fprintf(out,
            "<svg class=\"area\" height=\"%u\" role=\"img\" aria-label=\"What each rank did over "
            "time; the table below has the sums\">",
            p.height);
    for (size_t k = 0; k < l->lanes; k++)
        put_lane(out, l, k, r, &p, t);
    fprintf(out,
            "<svg viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" width=\"100%%\" "
            "height=\"%u\">",
            p.height);
    chart_time_lines(out, t);
    fputs("</svg>", out);
    chart_end(out, t);
    remarks(out, l);
}
