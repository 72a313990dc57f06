/* What failed, by reason: texts that differ in names and numbers only are one reason. */
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "report/markup.h"
#include "report/page_parts.h"

#define REASONS_SHOWN 30
#define IMAGES_SHOWN  20 /* of a reason */
#define KEY_MAX       400

struct failure {
    char *key; /* the error without names and numbers */
    const struct history_image *image;
};

struct reason {
    const struct failure *first;
    size_t n;
};

static bool failed(const struct history_image *i)
{
    return i->status == HISTORY_FAILED;
}

/* ---- reasons --------------------------------------------------------------------------------- */

/* "Could not open '/a/b7': error 5" becomes "Could not open '': error #". */
static void key_make(const char *error, char *key)
{
    bool quoted = false;
    size_t n = 0;
    for (; *error && n + 1 < KEY_MAX; error++) {
        bool quote = *error == '\'', digit = isdigit((unsigned char)*error);
        quoted ^= quote;
        if ((quoted && !quote) || (digit && n && key[n - 1] == '#'))
            continue;
        key[n++] = digit ? '#' : *error;
    }
    key[n] = '\0';
}

static int compare_failures(const void *x, const void *y)
{
    const struct failure *a = x, *b = y;
    int c = strcmp(a->key, b->key);
    return c ? c : (a->image > b->image) - (a->image < b->image);
}

static int compare_reasons(const void *x, const void *y)
{
    const struct reason *a = x, *b = y;
    if (a->n != b->n)
        return a->n < b->n ? 1 : -1;
    return (a->first > b->first) - (a->first < b->first);
}

struct failures {
    struct failure *failure;
    struct reason *reason;
    size_t n, reasons;
};

static void failures_release(struct failures *f)
{
    for (size_t k = 0; k < f->n; k++)
        free(f->failure[k].key);
    free(f->failure);
    free(f->reason);
}

static int failures_sort(struct failures *f, struct err *e)
{
    f->reason = mem_new(f->n, sizeof *f->reason, e);
    if (!f->reason)
        return -1;
    qsort(f->failure, f->n, sizeof *f->failure, compare_failures);
    for (size_t k = 0; k < f->n; k++) {
        if (!k || strcmp(f->failure[k].key, f->failure[k - 1].key) != 0)
            f->reason[f->reasons++] = (struct reason){.first = &f->failure[k]};
        f->reason[f->reasons - 1].n++;
    }
    qsort(f->reason, f->reasons, sizeof *f->reason, compare_reasons);
    return 0;
}

static int failures_make(const struct history *h, struct failures *f, struct err *e)
{
    size_t n;
    AUTO_FREE const struct history_image **list = page_select(h, failed, &n, e);
    f->failure = list ? mem_new(n, sizeof *f->failure, e) : NULL;
    if (!f->failure)
        return -1;
    for (; f->n < n; f->n++) {
        char key[KEY_MAX];
        key_make(list[f->n]->error, key);
        f->failure[f->n] = (struct failure){mem_strdup(key, e), list[f->n]};
        if (!f->failure[f->n].key)
            return -1;
    }
    return n ? failures_sort(f, e) : 0;
}

/* ---- as text --------------------------------------------------------------------------------- */

static void put_image(FILE *out, const struct history_image *i, bool alone)
{
    fputs("<li><bdi>", out);
    markup_cut(out, i->target, PAGE_NAME_CUT);
    fputs("</bdi>", out);
    if (i->attempts > 1)
        fprintf(out, " <span class=\"dim\">%s attempts</span>", shown_count(i->attempts).text);
    if (!alone && *i->error) {
        fputs("<br><span class=\"dim\"><bdi>", out);
        markup_cut(out, i->error, PAGE_ERROR_CUT);
        fputs("</bdi></span>", out);
    }
    fputs("</li>\n", out);
}

static void put_reason(FILE *out, const struct reason *r)
{
    const char *error = r->first->image->error;
    size_t shown = num_min(r->n, IMAGES_SHOWN);
    bool same = true;
    for (size_t k = 1; k < r->n && same; k++)
        same = strcmp(r->first[k].image->error, error) == 0;
    fprintf(out, "<details%s><summary><b>%s</b> <bdi>", r->n <= 3 ? " open" : "",
            shown_count(r->n).text);
    markup_cut(out, *error ? error : "no reason is given", PAGE_ERROR_CUT);
    fputs("</bdi></summary><ul>\n", out);
    for (size_t k = 0; k < shown; k++)
        put_image(out, r->first[k].image, same);
    if (shown < r->n)
        fprintf(out, "<li class=\"dim\">and %s more</li>\n", shown_count(r->n - shown).text);
    fputs("</ul></details>\n", out);
}

static void put_reasons(FILE *out, const struct failures *f)
{
    size_t shown = num_min(f->reasons, REASONS_SHOWN);
    fprintf(out,
            "<section class=\"card failures\" aria-labelledby=\"failures\"><h2 id=\"failures\">"
            "%s image%s failed</h2>\n",
            shown_count(f->n).text, f->n > 1 ? "s" : "");
    for (size_t k = 0; k < shown; k++)
        put_reason(out, &f->reason[k]);
    if (shown < f->reasons)
        fprintf(out, "<p class=\"remark\">%s more reasons are in the table below.</p>\n",
                shown_count(f->reasons - shown).text);
    fputs("</section>\n", out);
}

int page_failures(FILE *out, const struct history *h, struct err *e)
{
    struct failures f = {0};
    int status = failures_make(h, &f, e);
    if (!status && f.n)
        put_reasons(out, &f);
    failures_release(&f);
    return status;
}
