/*
 * All images: as data for the page's script, which shows, sorts and searches them, and the first of
 * them as a table for those who look without scripts.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "report/markup.h"
#include "report/page_parts.h"

#define DATA_MOST  (3u << 20) /* bytes that the data may take, about */
#define ROW_BYTES  90         /* of a row without its texts */
#define ROWS_PLAIN 100        /* shown without scripts */
#define WORDS_KEPT 16

static bool any(const struct history_image *i)
{
    (void)i;
    return true;
}

/* ---- which images ---------------------------------------------------------------------------- */

static int trouble(const struct history_image *i)
{
    return i->status == HISTORY_FAILED || i->status == HISTORY_STOPPED;
}

/* Those that one looks for first: what went wrong, then what took longest. */
static int compare_wanted(const void *x, const void *y)
{
    const struct history_image *a = *(const struct history_image *const *)x;
    const struct history_image *b = *(const struct history_image *const *)y;
    int c = trouble(b) - trouble(a);
    return c ? c : page_compare_slow(x, y);
}

static size_t folder_of(const char *path)
{
    return (size_t)(page_name_of(path) - path);
}

static bool same_folder(const char *a, const char *b)
{
    size_t n = folder_of(a);
    return n == folder_of(b) && memcmp(a, b, n) == 0;
}

static size_t path_bytes(const char *path, const char *before)
{
    size_t name = strlen(path) - folder_of(path);
    return num_min(name, 4 * PAGE_NAME_CUT) +
           (before && same_folder(path, before) ? 0 : num_min(folder_of(path), 4 * PAGE_NAME_CUT));
}

static size_t row_bytes(const struct history_image *i, const struct history_image *before)
{
    return ROW_BYTES + path_bytes(i->target, before ? before->target : NULL) +
           path_bytes(i->source, before ? before->source : NULL) +
           num_min(strlen(i->error), 4 * PAGE_ERROR_CUT) +
           num_min(strlen(i->id), 4 * PAGE_NAME_CUT);
}

/* How many of the list, every `step`th, fit into so many bytes. */
static size_t fitting(const struct history_image **list, size_t n, size_t step, size_t room)
{
    size_t used = 0, k = 0;
    for (; k * step < n; k++) {
        used += row_bytes(list[k * step], k ? list[(k - 1) * step] : NULL);
        if (used > room)
            break;
    }
    return k;
}

/* Where not all fit: the first ones in two thirds of the room, of the others every so many. */
static size_t thin(const struct history_image **list, size_t n)
{
    size_t head = fitting(list, n, 1, DATA_MOST);
    if (head == n)
        return n;
    head = fitting(list, n, 1, DATA_MOST / 3 * 2);
    size_t rest = n - head, step = 2, kept;
    while (fitting(list + head, rest, step, DATA_MOST / 3) * step < rest)
        step *= 2;
    for (kept = 0; kept * step < rest; kept++)
        list[head + kept] = list[head + kept * step];
    return head + kept;
}

/* ---- the data -------------------------------------------------------------------------------- */

/* Texts that come again and again are told once, and then by their number: those seen last are
 * known. */
struct words {
    const char **word;
    size_t *length;
    size_t n, room;
};

static void words_release(struct words *w)
{
    free(w->word);
    free(w->length);
}

static int words_number(struct words *w, const char *s, size_t length, size_t *number,
                        struct err *e)
{
    for (size_t k = w->n; k-- > 0 && w->n - k <= WORDS_KEPT;)
        if (w->length[k] == length && memcmp(w->word[k], s, length) == 0) {
            *number = k;
            return 0;
        }
    if (w->n == w->room) {
        size_t wanted = w->room ? 2 * w->room : 64;
        const char **word = mem_grow(w->word, wanted, sizeof *word, e);
        if (!word)
            return -1;
        w->word = word;
        size_t *lengths = mem_grow(w->length, wanted, sizeof *lengths, e);
        if (!lengths)
            return -1;
        w->length = lengths;
        w->room = wanted;
    }
    w->word[w->n] = s;
    w->length[w->n] = length;
    *number = w->n++;
    return 0;
}

static int put_words(FILE *out, const struct words *w, struct err *e)
{
    for (size_t k = 0; k < w->n; k++) {
        AUTO_FREE char *word =
            mem_printf(e, "%.*s", (int)num_min(w->length[k], 1 << 16), w->word[k]);
        if (!word)
            return -1;
        fputs(k ? ",\n" : "", out);
        markup_json(out, word, 4 * PAGE_NAME_CUT);
    }
    return 0;
}

static int put_path(FILE *out, struct words *folders, const char *path, struct err *e)
{
    size_t number;
    if (words_number(folders, path, folder_of(path), &number, e))
        return -1;
    fprintf(out, "%zu,", number);
    markup_json(out, page_name_of(path), PAGE_NAME_CUT);
    putc(',', out);
    return 0;
}

/* In the order that page.js reads. */
static int put_row(FILE *out, const struct history *h, const struct history_image *i,
                   struct words *folders, struct err *e)
{
    putc('[', out);
    if (put_path(out, folders, i->target, e) || put_path(out, folders, i->source, e))
        return -1;
    markup_json(out, i->source_format, 16);
    putc(',', out);
    markup_json(out, i->target_format, 16);
    fprintf(out, ",%d,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%s,", (int)i->status, i->virtual_size,
            i->bytes, i->target_bytes, shown_at(i->seconds).text);
    double after = i->start > 0 ? fmax(i->start - h->run[i->run].began, 0) : -1;
    fprintf(out, "%s,%d,%zu,%zu", shown_at(after).text, i->rank, i->spread ? i->lanes : 0,
            i->run + 1);
    if (*i->error || *i->id) {
        putc(',', out);
        markup_json(out, i->error, PAGE_ERROR_CUT);
    }
    if (*i->id) {
        putc(',', out);
        markup_json(out, i->id, PAGE_NAME_CUT);
    }
    putc(']', out);
    return 0;
}

static int put_data(FILE *out, const struct history *h, const struct history_image **list, size_t n,
                    struct err *e)
{
    struct words folders = {0};
    int status = 0;
    fputs("<script type=\"application/json\" id=\"data\">{\"statuses\":[", out);
    for (int s = 0; s < HISTORY_STATUSES; s++)
        fprintf(out, "%s\"%s\"", s ? "," : "", history_status_word((enum history_status)s));
    fprintf(out, "],\"runs\":%zu,\"rows\":[\n", h->runs);
    for (size_t k = 0; k < n && !status; k++) {
        fputs(k ? ",\n" : "", out);
        status = put_row(out, h, list[k], &folders, e);
    }
    fputs("],\"folders\":[\n", out);
    if (!status)
        status = put_words(out, &folders, e);
    fputs("]}</script>\n", out);
    words_release(&folders);
    return status;
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct column {
    const char *key, *name, *class;
} columns[] = {
    {"target", "Target and source", ""},
    {"status", "Status", ""},
    {"format", "Formats", ""},
    {"size", "Virtual size", "n"},
    {"moved", "Data moved", "n"},
    {"stored", "On storage", "n"},
    {"seconds", "Time", "n"},
    {"rate", "Rate", "n"},
    {"start", "Begun after", "n"},
    {"where", "Where", ""},
};

static void put_columns(FILE *out)
{
    fputs("<thead><tr>", out);
    for (size_t k = 0; k < ARRAY_LEN(columns); k++)
        fprintf(out,
                "<th scope=\"col\" class=\"%s\"%s><button type=\"button\" data-sort=\"%s\">%s"
                "</button></th>",
                columns[k].class,
                strcmp(columns[k].key, "seconds") == 0 ? " aria-sort=\"descending\"" : "",
                columns[k].key, columns[k].name);
    fputs("</tr></thead>\n", out);
}

static void put_names(FILE *out, const struct history_image *i)
{
    fputs("<th scope=\"row\"><bdi class=\"name\">", out);
    markup_cut(out, i->target, PAGE_NAME_CUT);
    fputs("</bdi>", out);
    if (*i->source) {
        fputs("<bdi class=\"from\">", out);
        markup_cut(out, i->source, PAGE_NAME_CUT);
        fputs("</bdi>", out);
    }
    if (*i->error) {
        fputs("<bdi class=\"error\">", out);
        markup_cut(out, i->error, PAGE_ERROR_CUT);
        fputs("</bdi>", out);
    }
    fputs("</th>", out);
}

static void put_cell(FILE *out, struct shown s)
{
    fprintf(out, "<td class=\"n\">%s</td>", s.text);
}

static void put_plain(FILE *out, const struct history *h, const struct history_image *i)
{
    const char *status = history_status_word(i->status);
    fputs("<tr>", out);
    put_names(out, i);
    fprintf(out, "<td><span class=\"key %s\">%s</span></td><td>", status, status);
    markup_cut(out, i->source_format, 16);
    fputs(" → ", out);
    markup_cut(out, i->target_format, 16);
    fputs("</td>", out);
    put_cell(out, shown_size((double)i->virtual_size));
    put_cell(out, shown_size((double)i->bytes));
    put_cell(out, shown_size((double)i->target_bytes));
    put_cell(out, shown_span(i->seconds));
    put_cell(out, shown_rate(i->seconds > 0 ? (double)i->bytes / i->seconds : 0));
    put_cell(out, shown_span(i->start > 0 ? fmax(i->start - h->run[i->run].began, 0) : 0));
    if (i->spread && i->lanes)
        fprintf(out, "<td>%zu ranks</td></tr>\n", i->lanes);
    else
        fprintf(out, i->rank < 0 ? "<td></td></tr>\n" : "<td>rank %d</td></tr>\n", i->rank);
}

static void put_controls(FILE *out)
{
    fputs("<form class=\"controls\" id=\"controls\" role=\"search\"><label>Search <input "
          "type=\"search\" id=\"q\" autocomplete=\"off\" spellcheck=\"false\" placeholder=\"name, "
          "source, error, rank 3\"></label><label>Status <select id=\"status\"><option "
          "value=\"\">all</option>",
          out);
    for (int s = 0; s < HISTORY_STATUSES; s++)
        fprintf(out, "<option>%s</option>", history_status_word((enum history_status)s));
    fputs("</select></label></form>\n", out);
}

static void put_counts(FILE *out, size_t shown, size_t n)
{
    fprintf(out, "<p id=\"found\" role=\"status\">%s images</p>\n", shown_count(shown).text);
    if (shown < n)
        fprintf(out,
                "<p class=\"remark\" id=\"thinned\">There are %s images, too many for a page: here "
                "are those that failed or were stopped, those that took longest, and of the others "
                "some from all over. The results file has them all.</p>\n",
                shown_count(n).text);
    if (shown > ROWS_PLAIN)
        fprintf(out,
                "<noscript><p class=\"remark\">The first %d are shown; for the others this page "
                "needs its script.</p></noscript>\n",
                ROWS_PLAIN);
}

static void put_table(FILE *out, const struct history *h, const struct history_image **list,
                      size_t n)
{
    fputs("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"images\"><table "
          "id=\"table\">\n",
          out);
    put_columns(out);
    fputs("<tbody>\n", out);
    for (size_t k = 0; k < num_min(n, ROWS_PLAIN); k++)
        put_plain(out, h, list[k]);
    fputs("</tbody></table></div>\n<p class=\"more\"><button type=\"button\" id=\"more\" hidden>"
          "Show more</button> <button type=\"button\" id=\"all\" hidden>Show all</button></p>\n",
          out);
}

int page_images(FILE *out, const struct history *h, struct err *e)
{
    size_t n;
    AUTO_FREE const struct history_image **list = page_select(h, any, &n, e);
    if (!list)
        return -1;
    qsort(list, n, sizeof(void *), compare_wanted);
    size_t shown = thin(list, n);
    qsort(list, shown, sizeof(void *), page_compare_slow);
    fputs("<section class=\"card\" aria-labelledby=\"images\"><h2 id=\"images\">All images</h2>\n",
          out);
    put_controls(out);
    put_counts(out, shown, n);
    put_table(out, h, list, shown);
    int status = put_data(out, h, list, shown, e);
    fputs("</section>\n", out);
    return status;
}
