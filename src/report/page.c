/* The page as a whole: its head, what is said first, its foot. */
#include "report/page.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "report/markup.h"
#include "report/page_parts.h"

#define MANIFESTS_SHOWN 3

/* ---- lists of images ------------------------------------------------------------------------- */

const struct history_image **page_select(const struct history *h,
                                         bool (*match)(const struct history_image *i), size_t *n,
                                         struct err *e)
{
    const struct history_image **list = mem_new(h->images, sizeof(void *), e);
    *n = 0;
    for (size_t k = 0; list && k < h->images; k++)
        if (h->image[k].last && match(&h->image[k]))
            list[(*n)++] = &h->image[k];
    return list;
}

int page_compare_slow(const void *x, const void *y)
{
    const struct history_image *a = *(const struct history_image *const *)x;
    const struct history_image *b = *(const struct history_image *const *)y;
    if (a->seconds != b->seconds)
        return a->seconds < b->seconds ? 1 : -1;
    return (a > b) - (a < b);
}

const char *page_name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* ---- how it went ----------------------------------------------------------------------------- */

static const struct history_end *last_end(const struct history *h)
{
    return &h->run[h->runs - 1].end;
}

/* A word, and the class of its colour. */
static const char *verdict(const struct history *h, const struct totals *t, const char **colour)
{
    const struct history_end *end = last_end(h);
    *colour = "failed";
    if (t->count[HISTORY_FAILED])
        return "some failed";
    *colour = "stopped";
    if (!end->known)
        return "not at its end";
    if (strcmp(end->status, "stopped") == 0)
        return "stopped";
    *colour = "failed";
    if (strcmp(end->status, "failed") == 0)
        return "failed";
    *colour = "good";
    return "complete";
}

static void put_titles(FILE *out, const struct history *h)
{
    size_t shown = 0;
    for (size_t k = 0; k < h->runs && shown < MANIFESTS_SHOWN; k++) {
        const char *name = page_name_of(h->run[k].manifest);
        bool again = k > 0 && strcmp(h->run[k].manifest, h->run[k - 1].manifest) == 0;
        if (!*name || again)
            continue;
        fputs(shown++ ? ", " : "", out);
        markup_cut(out, name, PAGE_NAME_CUT);
    }
    if (!shown)
        fputs("Fleet", out);
}

static unsigned ranks_most(const struct history *h)
{
    unsigned most = 0;
    for (size_t k = 0; k < h->runs; k++)
        most = h->run[k].ranks > most ? h->run[k].ranks : most;
    return most;
}

static void put_header(FILE *out, const struct history *h, const struct totals *t)
{
    const char *colour, *word = verdict(h, t, &colour);
    const struct history_run *first = &h->run[0], *last = &h->run[h->runs - 1];
    fputs("<header><p class=\"kind\">mpi-img fleet</p><h1><bdi>", out);
    put_titles(out, h);
    fprintf(out, "</bdi> <span class=\"chip %s\">%s</span></h1><p class=\"when\">", colour, word);
    fprintf(out, "%s to %s", shown_time(first->began).text, shown_time(last->ended).text);
    if (h->runs > 1)
        fprintf(out, " &middot; %s runs", shown_count(h->runs).text);
    if (ranks_most(h))
        fprintf(out, " &middot; %s rank%s", shown_count(ranks_most(h)).text,
                ranks_most(h) > 1 ? "s" : "");
    fputs("</p></header>\n", out);
}

/* ---- totals ---------------------------------------------------------------------------------- */

struct share_of {
    const char *word, *colour;
    uint64_t n;
};

static void put_share(FILE *out, const struct totals *t)
{
    const struct share_of parts[] = {
        {"done", "done", t->count[HISTORY_DONE]},
        {"done before", "skipped", t->count[HISTORY_SKIPPED]},
        {"stopped", "stopped", t->count[HISTORY_STOPPED]},
        {"failed", "failed", t->count[HISTORY_FAILED]},
        {"not begun", "left", t->left},
    };
    double at = 0;
    fputs("<svg class=\"share\" height=\"14\" aria-hidden=\"true\">", out);
    for (size_t k = 0; k < sizeof parts / sizeof parts[0] && t->images; k++) {
        double width = 100.0 * (double)parts[k].n / (double)t->images;
        if (parts[k].n)
            fprintf(out, "<rect class=\"%s\" x=\"%s%%\" width=\"%s%%\" height=\"14\"/>",
                    parts[k].colour, shown_at(fmin(at, 99.7)).text,
                    shown_at(fmax(width, 0.3)).text);
        at += width;
    }
    fputs("</svg><p class=\"legend\" id=\"counts\">", out);
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++)
        if (parts[k].n || !k)
            fprintf(out, "<span class=\"key %s\"><b>%s</b> %s</span> ", parts[k].colour,
                    shown_count(parts[k].n).text, parts[k].word);
    fputs("</p>\n", out);
}

static void tile(FILE *out, const char *id, const char *name, struct shown value, const char *more)
{
    fprintf(out, "<div><dt>%s</dt><dd id=\"%s\">%s</dd>", name, id, value.text);
    if (*more)
        fprintf(out, "<dd class=\"more\">%s</dd>", more);
    fputs("</div>\n", out);
}

static struct shown number_or(struct shown s, bool known)
{
    return known ? s : (struct shown){"–"};
}

static void put_tiles(FILE *out, const struct totals *t)
{
    char more[160];
    bool any = t->count[HISTORY_DONE] > 0;
    fputs("<dl class=\"tiles\">\n", out);
    snprintf(more, sizeof more, "of %s", shown_count(t->images).text);
    tile(out, "t-images", "Images done",
         shown_count(t->count[HISTORY_DONE] + t->count[HISTORY_SKIPPED]), more);
    tile(out, "t-bytes", "Guest data moved", shown_size((double)t->bytes), "");
    tile(out, "t-time", "Time", shown_span(t->seconds), "");
    tile(out, "t-rate", "Mean rate", number_or(shown_rate(t->rate), t->seconds > 0), "");
    tile(out, "t-busy", "Workers busy", number_or(shown_share(t->busy), t->busy >= 0), "");
    tile(out, "t-median", "Median image", number_or(shown_span(t->median), any), "");
    snprintf(more, sizeof more, "longest %s", shown_span(t->longest).text);
    tile(out, "t-p95", "95 % of images within", number_or(shown_span(t->p95), any),
         any ? more : "");
    snprintf(more, sizeof more, "from %s", shown_size((double)t->source_bytes).text);
    tile(out, "t-stored", "On storage", number_or(shown_size((double)t->target_bytes), any),
         any ? more : "");
    fputs("</dl>\n", out);
}

/* ---- what to know of the files --------------------------------------------------------------- */

static void put_remarks(FILE *out, const struct history *h)
{
    if (!last_end(h)->known)
        fputs("<p class=\"remark\">The last run has no end in these results: it is still at work, "
              "or was killed.</p>\n",
              out);
    if (h->unread)
        fprintf(out, "<p class=\"remark\">%s lines could not be read and are left out.</p>\n",
                shown_count(h->unread).text);
    if (h->torn)
        fputs("<p class=\"remark\">The last line of a file is not whole and is left out.</p>\n",
              out);
    if (h->unknown)
        fprintf(
            out,
            "<p class=\"remark\">%s records are of kinds that this program does not know.</p>\n",
            shown_count(h->unknown).text);
}

/* ---- the page -------------------------------------------------------------------------------- */

static void put_head(FILE *out, const struct history *h)
{
    fprintf(out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
            "style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            "<meta name=\"color-scheme\" content=\"light dark\">\n"
            "<meta name=\"referrer\" content=\"no-referrer\">\n<title>",
            page_css_hash, page_js_hash);
    put_titles(out, h);
    fprintf(out, " - mpi-img fleet report</title>\n<style>%s</style>\n</head>\n<body>\n", page_css);
}

static void put_foot(FILE *out, const char *const *file, size_t files)
{
    fputs("<footer>Made by <code>mpi-img report</code> from", out);
    for (size_t k = 0; k < files; k++) {
        fputs(k ? ", <bdi>" : " <bdi>", out);
        markup_cut(out, file[k], PAGE_NAME_CUT);
        fputs("</bdi>", out);
    }
    fprintf(out, ".</footer>\n</main>\n<script>%s</script>\n</body>\n</html>\n", page_js);
}

int page_write(FILE *out, const struct history *h, const char *const *file, size_t files,
               struct err *e)
{
    struct totals t;
    if (totals_fleet(h, &t, e))
        return -1;
    put_head(out, h);
    fputs("<main>\n", out);
    put_header(out, h, &t);
    fputs("<section class=\"card\" aria-label=\"Totals\">\n", out);
    put_share(out, &t);
    put_tiles(out, &t);
    put_remarks(out, h);
    fputs("</section>\n", out);
    if (page_runs(out, h, e) || page_failures(out, h, e) || page_slowest(out, h, &t, e) ||
        page_images(out, h, e))
        return -1;
    put_foot(out, file, files);
    return 0;
}
