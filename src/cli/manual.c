#include "cli/manual.h"

#include <string.h>

#include "base/trace.h"
#include "cli/syntax.h"
#include "cli/words.h"
#include "formats/format.h"
#include "formats/safety.h"

#ifndef BUILD_VERSION
#define BUILD_VERSION "0"
#endif

/* ---- roff ------------------------------------------------------------------------------------ */

/* Text as it is: no character of it is a request or an escape. */
static void roff_text(FILE *out, const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            putc(*text, out);
        line_start = *text == '\n';
    }
}

/* Paragraphs with an empty line between. */
static void roff_paragraphs(FILE *out, const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t n = end ? (size_t)(end - text) : strlen(text);
        char line[2] = "";
        fputs(".PP\n", out);
        for (size_t i = 0; i < n; i++) {
            line[0] = text[i];
            roff_text(out, line);
        }
        putc('\n', out);
        text += n + (end ? 2 : 0);
    }
}

static void roff_sentence(FILE *out, const char *text)
{
    size_t n = strlen(text);
    roff_text(out, text);
    fputs(n && text[n - 1] == '.' ? "\n" : ".\n", out);
}

static void roff_item(FILE *out, const char *tag, const char *text)
{
    fputs(".TP\n.B ", out);
    roff_text(out, tag);
    putc('\n', out);
    roff_sentence(out, text);
}

/* What `print` writes to a stream, as roff text. */
static void roff_row_tag(FILE *out, const struct option_row *row)
{
    char tag[128] = "";
    FILE *text = fmemopen(tag, sizeof tag, "w");
    if (!text)
        return;
    syntax_row(text, row);
    fclose(text);
    fputs(".TP\n.B ", out);
    roff_text(out, tag);
    putc('\n', out);
}

/* ---- sections -------------------------------------------------------------------------------- */

static const char description[] =
    "mpi-img makes, converts, compares and inspects disk images. Its command line, its output and "
    "its exit codes are those of qemu-img 6.2; installed under the name qemu-img it takes its "
    "place.\n\n"
    "By default it works on all CPUs of the machine. Started by an MPI launcher (mpirun, "
    "srun) the commands convert, fleet, compare, hash and map share their work out among all "
    "ranks; "
    "every other "
    "command is done by rank 0. Rank 0 alone prints, and all ranks end with the same exit code. "
    "The "
    "result is the same, byte for byte, whatever the number of threads and ranks.\n\n"
    "Never change an image that a running virtual machine uses.";

static const struct exit_status statuses_usual[] = {
    {0, "Success"},
    {1, "Failure; a message on standard error says why"},
    {0},
};

static const char *const environment[][2] = {
    {"MPI_IMG_RANK_TIMEOUT", "Seconds of silence of another rank after which rank 0 ends the run: "
                             "default 60, 0 for never. While the whole job is stopped none pass"},
    {"MPI_IMG_SEED",
     "A number that fixes all that is random in a new image (identifiers, times, keys), for tests: "
     "what is encrypted with it is no secret"},
    {"MPI_IMG_TRUST_NAMES",
     "Set to 1: names of backing images that stand in images may be options (\"json:\") or lead to "
     "other machines (\"nbd://\"), as with qemu-img. Else only plain file names are followed"},
    {"OMPI_COMM_WORLD_SIZE, PMI_RANK, PMIX_RANK",
     "Set by launchers: if one is there, MPI is started: the first is Open MPI's, the second "
     "MPICH's and its kin's. Nothing of MPI is touched else"},
    {"MPI_IMG_MPI",
     "openmpi or mpich: the MPI that is started, where the launcher leaves doubt (srun --mpi=pmix "
     "and pmi2)"},
    {"TZ", "The time zone in which info shows the dates of snapshots"},
};

static const char *const files[][2] = {
    {"NAME.mpi-img-part",
     "The unfinished output NAME of create and convert. It is removed after a failure; one that a "
     "killed process has left is used again"},
    {"MANIFEST.results", "What has become of the images of a fleet"},
};

static const char *const examples[][2] = {
    {"mpi-img convert -O qcow2 disk.vmdk disk.qcow2", "Convert on all CPUs of this machine"},
    {"mpirun -n 64 mpi-img convert -O qcow2 disk.vmdk disk.qcow2", "The same on many nodes"},
    {"mpi-img convert -p -c -O qcow2 -o compression_type=zstd disk.raw disk.qcow2",
     "Compress, with progress"},
    {"mpi-img create -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2",
     "A new image that holds what differs from another"},
    {"mpi-img info --output=json disk.qcow2", "What an image is, for a program to read"},
    {"mpi-img compare -f raw -F qcow2 disk.raw disk.qcow2 && echo same", "Check a conversion"},
    {"mpi-img convert --hash --verify -O qcow2 disk.vmdk disk.qcow2",
     "Read the output back before it gets its name, print a hash of its content"},
    {"mpi-img hash disk.vmdk disk.qcow2", "Two lines that begin alike: the same content"},
    {"srun mpi-img fleet --from /images --to /cloud --glob '*.vmdk' -O qcow2 --verify",
     "All images of a folder, in one batch job; the same command goes on where it was stopped"},
    {"mpi-img fleet --dry-run fleet.jsonl", "What a fleet would do, and the space that it needs"},
    {"mpi-img measure -O qcow2 disk.raw", "The space that a conversion will need"},
};

static void manual_head(FILE *out, const struct command *const *all)
{
    fprintf(out, ".\\\" Generated from the tables of options.\n"
                 ".TH MPI\\-IMG 1 \"\" \"mpi\\-img " BUILD_VERSION "\" \"User Commands\"\n"
                 ".SH NAME\nmpi\\-img \\- disk image utility for one machine or many\n"
                 ".SH SYNOPSIS\n.nh\n.ad l\n"
                 ".B mpi\\-img\n[standard options] command [command options]\n");
    for (const struct command *const *c = all; *c; c++)
        fprintf(out, ".br\n.B mpi\\-img %s\n[options] ...\n", (*c)->name);
    fprintf(out, ".ad b\n.hy\n.SH DESCRIPTION\n");
    roff_paragraphs(out, description);
    fprintf(out, ".SH STANDARD OPTIONS\n");
    roff_item(out, "-h, --help", "Show help and exit; after a command, help on that command");
    roff_item(out, "-V, --version", "Show the version, and what the program was built with");
    roff_item(
        out, "-T, --trace [[enable=]PATTERN][,events=FILE][,file=FILE]",
        "Show the trace points that are passed whose names fit the pattern, which may have * and "
        "? in it; '-PATTERN' turns points off, 'help' lists them. With events=, the patterns "
        "are the lines of a file. Lines go to standard error or, with file=, to a file, where "
        "ranks above 0 add their number to its name. May be given several times");
}

static void manual_syntax(FILE *out, const struct command *c)
{
    char line[2048] = "";
    FILE *text = fmemopen(line, sizeof line, "w");
    if (!text)
        return;
    syntax_print(text, c);
    fclose(text);
    fprintf(out, ".nh\n.ad l\n.PP\nmpi\\-img ");
    roff_text(out, line);
    fprintf(out, ".ad b\n.hy\n");
}

static void manual_command(FILE *out, const struct command *c)
{
    fprintf(out, ".SS %s\n", c->name);
    roff_sentence(out, c->summary);
    manual_syntax(out, c);
    roff_paragraphs(out, c->description);
    for (const struct option_row *row = c->rows; !option_row_ends(row); row++) {
        roff_row_tag(out, row);
        roff_sentence(out, row->help);
    }
    const char *name, *help;
    if (c->word)
        roff_paragraphs(out, c->words);
    for (size_t i = 0; c->word && c->word(i, &name, &help); i++)
        roff_item(out, name, help);
}

/* A line is PID@SECONDS.MICROSECONDS:POINT KEY VALUE ... */
static void manual_trace(FILE *out)
{
    fprintf(out, ".SH TRACE POINTS\n");
    roff_paragraphs(out, "With -T the program tells what it does, a line each time a point is "
                         "passed: PID@SECONDS.MICROSECONDS:POINT KEY VALUE ... The points are this "
                         "program's own, not those of QEMU; scripts should not rely on them.");
    for (unsigned i = 0; i < TRACE_N; i++)
        roff_item(out, trace_name(i), trace_help(i));
}

static void manual_words(FILE *out)
{
    fprintf(out, ".SH PARAMETERS\n");
    for (const struct word *w = word_all; w->name; w++)
        if (w->help)
            roff_item(out, w->name, w->help);
}

static void manual_format(FILE *out, const struct format *f)
{
    fprintf(out, ".SS %s\n", f->name);
    if (!f->create_options) {
        fprintf(out, "Images of this format can be read only.\n");
        return;
    }
    for (const struct option_def *d = f->create_options; d->name; d++) {
        char tag[128];
        snprintf(tag, sizeof tag, "%s%s%s%s", d->name, d->def ? " (default " : "",
                 d->def ? d->def : "", d->def ? ")" : "");
        roff_item(out, tag, d->help);
    }
}

/* ---- untrusted images ------------------------------------------------------------------------ */

static const char untrusted[] =
    "An image that somebody else has made can name other files of this machine as parts of itself, "
    "be two formats at once, or claim a size that fills any storage. With --safe an image is read "
    "only when it has passed the checks below, which are made on the bytes of the file before "
    "anything interprets them. A refusal is one message with the name of the check that failed, "
    "and exit code 1 (2 of compare). Names of checks do not change. With info --output=json an "
    "image has an object \"safety\": \"passed\", and the list of \"checks\", each with \"check\" "
    "(its name), \"passed\" and, where it failed, \"reason\". It is printed when the image is "
    "refused, too.\n\n"
    "The checks are those of the format inspector of OpenStack (oslo.utils), and some more. What "
    "the inspector refuses always but is read here without harm (qed, qcow, extended L2 entries), "
    "and formats that it does not know (bochs, cloop, dmg, parallels), are read where -f names "
    "the format. What -f calls raw must not look like an image of any other format. A fixed vpc "
    "image is told by its end alone and needs -f.\n\n"
    "Second files: those that the command line names are opened. With --safe no other is, whatever "
    "the environment says. Without it a backing image is opened if the name that stands in the "
    "image is a plain file name (see MPI_IMG_TRUST_NAMES), and data files and extents are taken "
    "for local paths always: names in images are never options (\"json:\") nor URLs.\n\n"
    "convert and dd with --safe make the same checks on the finished output, as the format that "
    "was asked for, before it gets its name: a raw output that looks like an image of some other "
    "format is refused and removed. An output that has no name to get (a device, an export, -n) "
    "is looked at too, but its bytes are there. The output has neither a backing image nor "
    "further files.\n\n"
    "On several ranks rank 0 opens and checks the sources; no other rank opens one before all "
    "checks have passed there. Each then repeats them on the bytes that it sees, and a source of "
    "another size on one rank ends the run. Entries of tables are checked by whoever reads them, "
    "each time.\n\n"
    "With and without --safe every count and length from a file is checked before memory is asked "
    "for, and no encoded block is decoded beyond its size. Tables of places are read in parts "
    "that fit a budget. What is held whole has these limits: L1 table of qcow2 32 MiB, refcount "
    "table 8 MiB, 65536 snapshots with 64 MiB of table, 65535 bitmaps with 64 MiB of directory; "
    "names of backing files 1023 bytes (qed 4095); descriptor of vmdk 1 MiB, 16384 extents, a "
    "directory 128 MiB, those of all extents at a time 256 MiB; vhdx 2047 regions, 2047 items of "
    "metadata of up to 1 MiB, log 256 MiB; dmg 2^22 chunks of up to 64 MiB; blocks of cloop 64 "
    "MiB; the first of two levels of tables in other formats 256 MiB; backing chains 10000 images. "
    "What an image can ask for is time: how often a password is hashed stands in a luks header. "
    "info --safe needs less than 1 GiB of address space and 2 s of CPU, whatever the image: a "
    "service "
    "does well to set such limits (prlimit), and others for convert.";

static void manual_check(FILE *out, const struct safety_check *c)
{
    roff_item(out, c->name, c->help);
}

static void manual_untrusted(FILE *out)
{
    fprintf(out, ".SH UNTRUSTED IMAGES\n");
    roff_paragraphs(out, untrusted);
    fprintf(out, ".SS Checks of every image\n");
    for (const struct safety_check *c = safety_common; c->name; c++)
        manual_check(out, c);
    for (const struct format *const *f = format_all; *f; f++) {
        if ((*f)->safety)
            fprintf(out, ".SS Checks of %s\n", (*f)->name);
        for (const struct safety_check *c = (*f)->safety; c && c->name; c++)
            manual_check(out, c);
    }
}

static void manual_statuses(FILE *out, const struct exit_status *list)
{
    for (; list->meaning; list++) {
        char tag[16];
        snprintf(tag, sizeof tag, "%d", list->code);
        roff_item(out, tag, list->meaning);
    }
}

static void manual_exits(FILE *out, const struct command *const *all)
{
    fprintf(out, ".SH EXIT STATUS\n");
    manual_statuses(out, statuses_usual);
    for (; *all; all++) {
        if (!(*all)->statuses)
            continue;
        fprintf(out, ".SS %s\n", (*all)->name);
        manual_statuses(out, (*all)->statuses);
    }
}

static void manual_list(FILE *out, const char *title, const char *const (*list)[2], size_t n)
{
    fprintf(out, ".SH %s\n", title);
    for (size_t i = 0; i < n; i++)
        roff_item(out, list[i][0], list[i][1]);
}

#define MANUAL_LIST(out, title, list) manual_list(out, title, list, sizeof list / sizeof list[0])

void manual_print(FILE *out, const struct command *const *all)
{
    manual_head(out, all);
    fprintf(out, ".SH COMMANDS\n");
    for (const struct command *const *c = all; *c; c++)
        manual_command(out, *c);
    manual_words(out);
    fprintf(out, ".SH FORMATS\nThe options of new images (\\-o), by format:\n");
    for (const struct format *const *f = format_all; *f; f++)
        manual_format(out, *f);
    manual_untrusted(out);
    manual_trace(out);
    manual_exits(out, all);
    MANUAL_LIST(out, "ENVIRONMENT", environment);
    MANUAL_LIST(out, "FILES", files);
    MANUAL_LIST(out, "EXAMPLES", examples);
    fprintf(out, ".SH SEE ALSO\n.BR mpirun (1),\n.BR srun (1)\n");
}
