/* report: what a fleet did, as a page to look at. */
#include "cmd/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/output.h"
#include "report/history.h"
#include "report/page.h"
#include "report/totals.h"

struct report_args {
    const char *output;
    bool quiet;
};

struct page {
    char *text;
    size_t n;
};

static int page_make(const struct history *h, char **file, int files, struct page *out,
                     struct err *e)
{
    FILE *to = open_memstream(&out->text, &out->n);
    if (!to)
        return err_nomem(e);
    int status = page_write(to, h, (const char *const *)file, (size_t)files, e);
    if (ferror(to) && !status)
        status = err_nomem(e);
    if (fclose(to) && !status)
        status = err_nomem(e);
    return status;
}

/* ---- where it goes --------------------------------------------------------------------------- */

/* The results are what cannot be made again. */
static int output_check(const char *output, const struct operands *files, struct err *e)
{
    struct stat to, from;
    if (stat(output, &to))
        return 0;
    for (int k = 0; k < files->n; k++)
        if (!stat(files->text[k], &from) && to.st_dev == from.st_dev && to.st_ino == from.st_ino)
            return err_set(e, EINVAL, "'%s' holds results: the report cannot take its place",
                           output);
    return 0;
}

static int page_store(const char *name, const struct page *p, struct err *e)
{
    const struct file_options o = {.write = true, .create = FILE_CREATE_NEW};
    struct output *out = NULL;
    if (output_begin(name, &o, &out, e))
        return err_prefix(e, "Could not write '%s': ", name);
    if (file_write(output_file(out), p->text, p->n, 0, e)) {
        output_abandon(out, NULL);
        return err_prefix(e, "Could not write '%s': ", name);
    }
    return output_commit(out, e) ? err_prefix(e, "Could not write '%s': ", name) : 0;
}

static int report_say(const char *name, const struct history *h, struct err *e)
{
    struct totals t;
    if (totals_fleet(h, &t, e))
        return -1;
    printf("Report in '%s': %" PRIu64 " images, %" PRIu64 " done, %" PRIu64 " failed\n", name,
           t.images, t.count[HISTORY_DONE] + t.count[HISTORY_SKIPPED], t.count[HISTORY_FAILED]);
    return 0;
}

/* ---- all ------------------------------------------------------------------------------------- */

static int report_out(const struct command_run *r, const char *name, const struct history *h,
                      struct err *e)
{
    const struct report_args *a = r->args;
    struct page p = {0};
    int status = page_make(h, r->operands.text, r->operands.n, &p, e);
    if (!status && strcmp(name, "-") == 0) {
        fwrite(p.text, 1, p.n, stdout);
        free(p.text);
        return 0;
    }
    if (!status)
        status = page_store(name, &p, e);
    free(p.text);
    return status || a->quiet ? status : report_say(name, h, e);
}

static int report_read(const struct operands *files, struct history *h, struct err *e)
{
    for (int k = 0; k < files->n; k++)
        if (history_read(h, files->text[k], e))
            return -1;
    return history_settle(h, e);
}

static int report_main(struct command_run *r)
{
    const struct report_args *a = r->args;
    struct err e = ERR_INIT;
    if (r->operands.n < 1)
        return command_misused("Expecting at least one file of results");
    AUTO_FREE char *beside = mem_printf(&e, "%s.html", r->operands.text[0]);
    const char *name = a->output ? a->output : beside;
    struct history h = {0};
    int status = name ? output_check(name, &r->operands, &e) : -1;
    if (!status)
        status = report_read(&r->operands, &h, &e);
    if (!status)
        status = report_out(r, name, &h, &e);
    history_release(&h);
    return status ? command_fail(&e) : 0;
}

static const struct option_row report_rows[] = {
    ROW_HELP,
    ROW_TEXT('o', "output", "output_filename", struct report_args, output,
             "Where the page goes (default: the first results file's name and .html); '-' is "
             "standard output"),
    ROW_FLAG('q', "quiet", struct report_args, quiet, "Print errors only"),
    {0},
};

const struct command command_report = {
    .name = "report",
    .summary = "Make a page of what a fleet did",
    .operands = "results [results2 [...]]",
    .description =
        "Reads the results of a fleet's runs (the JSON lines that 'fleet' appends to "
        "MANIFEST.results) and writes one HTML page with totals, throughput over time, a lane for "
        "each rank with its workers, failures by reason, the slowest images and a table of all "
        "images that can be sorted and searched. The page needs no network, no other file and, but "
        "for the table's sorting and searching, no scripts; it loads nothing and sends nothing.\n\n"
        "A file may hold several runs, a stopped one and those that went on with it; several files "
        "are read as one. The last record of a target counts. A last line that is torn is left "
        "out, "
        "so a report can be made while the fleet runs. Times are shown in the zone that TZ "
        "names.\n\n"
        "In all a page stays at a few megabytes: of very many images the table has those that "
        "failed "
        "or took longest, and some of the others, and says so. The totals are always those of all.",
    .rows = report_rows,
    .args_size = sizeof(struct report_args),
    .run = report_main,
};
