/* A section for each run: its numbers, its curves, its lanes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "report/chart.h"
#include "report/lanes.h"
#include "report/page_parts.h"

#define RUNS_DRAWN  16   /* of more runs, the last ones */
#define BARS_MOST   6000 /* of all lanes of all runs */
#define RANKS_TABLE 512
#define MARKS_MOST  200 /* failures that a chart marks */

/* One run with what is drawn of it. */
struct run_view {
    const struct history *h;
    const struct history_run *run;
    size_t number;
    struct totals totals;
    struct lanes lanes;
    struct chart_time time;
};

/* ---- curves ---------------------------------------------------------------------------------- */

/* Bytes by what the run said while it worked. The first record tells only how fast it was by then.
 */
static void bytes_of_progress(const struct history_run *r, struct curve *c)
{
    double from = r->began, before = 0;
    for (const struct history_progress *p = r->progress; p < r->progress + r->progresses; p++) {
        double bytes = (double)p->bytes;
        if (p == r->progress && p->rate > 0)
            before = fmax(bytes - p->rate * (p->time - from), 0);
        if (p->time > from)
            curve_add(c, from, p->time, fmax(bytes - before, 0));
        from = fmax(p->time, from);
        before = bytes;
    }
    if (r->end.bytes_known && r->end.time > from)
        curve_add(c, from, r->end.time, fmax((double)r->end.bytes - before, 0));
}

/* Without that: as if each image had gone on evenly. */
static void bytes_of_images(const struct run_view *v, struct curve *c)
{
    const struct history_image *i = v->h->image + v->run->first;
    for (size_t k = 0; k < v->run->images_n; k++, i++) {
        if (i->status == HISTORY_SKIPPED || i->start <= 0)
            continue;
        for (size_t j = 0; j < i->lanes; j++)
            curve_add(c, i->lane[j].start, i->lane[j].end, (double)i->lane[j].bytes);
        if (!i->lanes)
            curve_add(c, i->start, i->end, (double)i->bytes);
    }
}

static void put_throughput(FILE *out, const struct run_view *v)
{
    struct curve c;
    char summary[160];
    struct chart chart = {
        .name = "rate", .title = "Throughput", .height = 150, .shown = shown_rate};
    curve_init(&c, v->run->began, v->run->ended);
    if (v->run->progresses)
        bytes_of_progress(v->run, &c);
    else
        bytes_of_images(v, &c);
    curve_per_second(&c);
    if (curve_highest(&c) <= 0)
        return;
    snprintf(summary, sizeof summary, "%s on the whole, %s at best%s",
             shown_rate(v->totals.rate).text, shown_rate(curve_highest(&c)).text,
             v->run->progresses ? "" : " (estimated from the images' times)");
    chart.summary = summary;
    chart_scale_bytes(&chart, curve_highest(&c));
    chart_begin(out, &chart, &v->time);
    chart_steps(out, &chart, &c);
    chart_tips(out, &chart, &v->time, &c);
    chart_end(out, &v->time);
}

static struct shown shown_images(double n)
{
    struct shown s = shown_count((uint64_t)llround(n));
    return s;
}

/* Where images failed. */
static void put_failure_marks(FILE *out, const struct run_view *v, unsigned y)
{
    size_t marks = 0;
    const struct history_image *i = v->h->image + v->run->first;
    fputs("<g class=\"marked\">", out);
    for (size_t k = 0; k < v->run->images_n && marks < MARKS_MOST; k++, i++) {
        if (i->status != HISTORY_FAILED || i->end <= 0)
            continue;
        double at = fmin(fmax((i->end - v->run->began) / v->time.length, 0), 1);
        fprintf(out,
                "<circle cx=\"%s%%\" cy=\"%u\" r=\"4\"><title>failed: ", shown_at(100 * at).text,
                y);
        markup_cut(out, page_name_of(i->target), PAGE_NAME_CUT);
        fputs("</title></circle>", out);
        marks++;
    }
    fputs("</g>", out);
}

static void put_completions(FILE *out, const struct run_view *v)
{
    struct curve c;
    char summary[160];
    struct chart chart = {
        .name = "count", .title = "Images done", .height = 110, .shown = shown_images};
    curve_init(&c, v->run->began, v->run->ended);
    const struct history_image *i = v->h->image + v->run->first;
    for (size_t k = 0; k < v->run->images_n; k++, i++)
        if (i->status == HISTORY_DONE && i->end > 0)
            curve_add(&c, fmax(i->end, v->run->began), fmax(i->end, v->run->began), 1);
    for (size_t k = 1; k < CURVE_BINS; k++)
        c.bin[k] += c.bin[k - 1];
    if (curve_highest(&c) <= 0 && !v->totals.count[HISTORY_FAILED])
        return;
    snprintf(summary, sizeof summary, "%s, %s failed",
             shown_count(v->totals.count[HISTORY_DONE]).text,
             shown_count(v->totals.count[HISTORY_FAILED]).text);
    chart.summary = summary;
    chart_scale(&chart, curve_highest(&c));
    if (chart.step < 1)
        chart.step = 1, chart.top = fmax(1, ceil(chart.top));
    chart_begin(out, &chart, &v->time);
    chart_steps(out, &chart, &c);
    chart_tips(out, &chart, &v->time, &c);
    put_failure_marks(out, v, chart.height);
    chart_end(out, &v->time);
}

static void put_busy(FILE *out, const struct run_view *v)
{
    struct curve c;
    char summary[160];
    struct chart chart = {.name = "busy",
                          .title = "Workers busy",
                          .height = 110,
                          .top = 1,
                          .step = 0.25,
                          .shown = shown_share};
    const struct history_run *r = v->run;
    double from = r->began, last = -1;
    curve_init(&c, r->began, r->ended);
    for (const struct history_progress *p = r->progress; p < r->progress + r->progresses; p++) {
        if (p->busy >= 0 && p->time > from) {
            curve_add(&c, from, p->time, p->busy * (p->time - from));
            last = p->busy;
        }
        from = fmax(from, p->time);
    }
    if (last < 0)
        return;
    if (r->ended > from)
        curve_add(&c, from, r->ended, last * (r->ended - from));
    curve_per_second(&c);
    snprintf(summary, sizeof summary, "%s of them on the whole", shown_share(v->totals.busy).text);
    chart.summary = summary;
    chart_begin(out, &chart, &v->time);
    chart_steps(out, &chart, &c);
    chart_tips(out, &chart, &v->time, &c);
    chart_end(out, &v->time);
}

/* ---- ranks as a table ------------------------------------------------------------------------ */

static void put_rank(FILE *out, const struct run_view *v, const struct lane *l, uint64_t most)
{
    const struct history_run *r = v->run;
    fprintf(out, "<tr><th scope=\"row\">%u", l->first);
    if (l->last > l->first)
        fprintf(out, " to %u", l->last);
    fputs("</th><td><bdi>", out);
    markup_cut(out, l->first < r->hosts ? r->host[l->first] : "", PAGE_NAME_CUT);
    fprintf(out, "</bdi></td><td class=\"n\">%u</td><td class=\"n\">%s</td><td class=\"n\">%s</td>",
            l->workers, shown_count(l->images).text, shown_size((double)l->bytes).text);
    fprintf(out,
            "<td><svg class=\"bar\" height=\"10\" aria-hidden=\"true\"><rect class=\"done\" "
            "width=\"%s%%\" height=\"10\"/></svg></td></tr>\n",
            shown_at(most ? 100.0 * (double)l->bytes / (double)most : 0).text);
}

static void put_ranks(FILE *out, const struct run_view *v)
{
    const struct lanes *l = &v->lanes;
    uint64_t most = 0;
    for (size_t k = 0; k < l->lanes; k++)
        most = num_max(most, l->lane[k].bytes);
    if (!l->lanes)
        return;
    fputs(
        "<details><summary>The ranks as a table</summary><div class=\"wide\" tabindex=\"0\" "
        "role=\"region\" aria-label=\"Ranks\"><table><thead><tr><th scope=\"col\">Rank</th>"
        "<th scope=\"col\">Host</th><th scope=\"col\" class=\"n\">Workers</th>"
        "<th scope=\"col\" class=\"n\">Whole images</th><th scope=\"col\" class=\"n\">Data moved"
        "</th><th scope=\"col\"><span class=\"unseen\">Compared</span></th></tr></thead><tbody>\n",
        out);
    for (size_t k = 0; k < l->lanes && k < RANKS_TABLE; k++)
        put_rank(out, v, &l->lane[k], most);
    fputs("</tbody></table></div></details>\n", out);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static const char *end_word(const struct history_run *r, const char **colour)
{
    const char *word = r->end.known ? r->end.status : "no end";
    *colour = strcmp(word, "complete") == 0 ? "good"
              : strcmp(word, "failed") == 0 ? "failed"
                                            : "stopped";
    return word;
}

static unsigned threads_of(const struct history_run *r)
{
    unsigned n = 0;
    for (size_t k = 0; k < r->threads_known; k++)
        n += r->threads[k];
    return n;
}

static void put_run_facts(FILE *out, const struct run_view *v)
{
    const struct history_run *r = v->run;
    const struct totals *t = &v->totals;
    fprintf(out, "<p class=\"facts\">%s, %s", shown_time(r->began).text,
            shown_span(t->seconds).text);
    if (r->ranks)
        fprintf(out, " &middot; %s rank%s", shown_count(r->ranks).text, r->ranks > 1 ? "s" : "");
    if (threads_of(r))
        fprintf(out, ", %s workers", shown_count(threads_of(r)).text);
    fprintf(out, " &middot; %s done", shown_count(t->count[HISTORY_DONE]).text);
    if (t->count[HISTORY_SKIPPED])
        fprintf(out, ", %s skipped", shown_count(t->count[HISTORY_SKIPPED]).text);
    if (t->count[HISTORY_FAILED])
        fprintf(out, ", %s failed", shown_count(t->count[HISTORY_FAILED]).text);
    if (t->count[HISTORY_STOPPED])
        fprintf(out, ", %s stopped", shown_count(t->count[HISTORY_STOPPED]).text);
    fprintf(out, " &middot; %s at %s", shown_size((double)t->bytes).text, shown_rate(t->rate).text);
    if (t->busy >= 0)
        fprintf(out, " &middot; workers busy %s", shown_share(t->busy).text);
    fputs("</p>\n", out);
}

static void put_run(FILE *out, const struct run_view *v)
{
    const char *colour, *word = end_word(v->run, &colour);
    fprintf(out, "<section class=\"card run\" aria-labelledby=\"run-%zu\"><h2 id=\"run-%zu\">",
            v->number, v->number);
    if (v->h->runs > 1)
        fprintf(out, "Run %zu of %zu ", v->number, v->h->runs);
    else
        fputs("The run ", out);
    fprintf(out, "<span class=\"chip %s\">", colour);
    markup_text(out, word);
    fputs("</span></h2>\n", out);
    put_run_facts(out, v);
    if (v->time.length > 0) {
        put_throughput(out, v);
        fputs("<div class=\"pair\">", out);
        put_completions(out, v);
        put_busy(out, v);
        fputs("</div>\n", out);
        chart_lanes(out, &v->lanes, v->run, &v->time);
        put_ranks(out, v);
    }
    fputs("</section>\n", out);
}

int page_runs(FILE *out, const struct history *h, struct err *e)
{
    size_t drawn = num_min(h->runs, RUNS_DRAWN);
    if (drawn < h->runs)
        fprintf(out, "<p class=\"remark\">Of %s runs the last %zu are drawn.</p>\n",
                shown_count(h->runs).text, drawn);
    for (size_t k = h->runs - drawn; k < h->runs; k++) {
        struct run_view v = {.h = h, .run = &h->run[k], .number = k + 1};
        v.time = chart_time_of(v.run->began, v.run->ended);
        int status = totals_run(h, v.run, &v.totals, e);
        if (!status)
            status = lanes_make(h, v.run, BARS_MOST / drawn, &v.lanes, e);
        if (!status)
            put_run(out, &v);
        lanes_release(&v.lanes);
        if (status)
            return -1;
    }
    return 0;
}
