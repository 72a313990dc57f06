#include "cli/board.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/size.h"

#define DRAW_SECONDS 0.2
#define HEIGHT       24 /* of a window that does not say */
#define WIDTH        80
#define NAME_MIN     12

struct job {
    size_t id;
    char *name;
    double percent, began;
};

struct board {
    FILE *out;
    bool terminal;
    double pause;   /* between draws */
    double drawn;   /* when; 0: not yet */
    unsigned lines; /* that stand above the cursor */
    struct job *jobs;
    size_t n, room;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int board_new(FILE *out, double log_seconds, struct board **out_board, struct err *e)
{
    struct board *b = mem_new(1, sizeof *b, e);
    const char *kind = getenv("TERM");
    if (!b)
        return -1;
    b->out = out;
    b->terminal = isatty(fileno(out)) && (!kind || strcmp(kind, "dumb") != 0);
    b->pause = b->terminal ? DRAW_SECONDS : log_seconds;
    b->drawn = now();
    *out_board = b;
    return 0;
}

void board_free(struct board *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n; i++)
        free(b->jobs[i].name);
    free(b->jobs);
    free(b);
}

/* ---- jobs, in the order in which they began -------------------------------------------------- */

static struct job *find(struct board *b, size_t id)
{
    for (size_t i = 0; b && i < b->n; i++)
        if (b->jobs[i].id == id)
            return &b->jobs[i];
    return NULL;
}

int board_begin(struct board *b, size_t id, const char *name, struct err *e)
{
    if (!b || !b->terminal)
        return 0;
    if (b->n == b->room) {
        size_t room = b->room ? 2 * b->room : 16;
        struct job *jobs = mem_grow(b->jobs, room, sizeof *jobs, e);
        if (!jobs)
            return -1;
        b->jobs = jobs;
        b->room = room;
    }
    struct job j = {.id = id, .name = mem_strdup(name, e), .percent = -1, .began = now()};
    if (!j.name)
        return -1;
    b->jobs[b->n++] = j;
    return 0;
}

void board_move(struct board *b, size_t id, double percent)
{
    struct job *j = find(b, id);
    if (j)
        j->percent = percent;
}

void board_end(struct board *b, size_t id)
{
    struct job *j = find(b, id);
    if (!j)
        return;
    free(j->name);
    memmove(j, j + 1, (size_t)(b->jobs + b->n - (j + 1)) * sizeof *j);
    b->n--;
}

/* ---- drawing --------------------------------------------------------------------------------- */

static void time_text(double seconds, char *text, size_t n)
{
    unsigned long s = (unsigned long)seconds;
    snprintf(text, n, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
}

void board_total_text(const struct board_total *t, char text[BOARD_TOTAL_MAX])
{
    char failed[40] = "", rate[SIZE_HUMAN_MAX], left[48] = "", clock[32];
    size_human((uint64_t)t->rate, rate);
    if (t->failed)
        snprintf(failed, sizeof failed, ", %zu failed", t->failed);
    if (t->left >= 0) {
        time_text(t->left, clock, sizeof clock);
        snprintf(left, sizeof left, ", %s left", clock);
    }
    snprintf(text, BOARD_TOTAL_MAX, "%zu/%zu done%s, %zu running, %.1f%%, %s/s%s", t->done, t->jobs,
             failed, t->running, t->percent, rate, left);
}

static void window(const struct board *b, unsigned *width, unsigned *height)
{
    struct winsize w;
    bool known = ioctl(fileno(b->out), TIOCGWINSZ, &w) == 0 && w.ws_row > 1 && w.ws_col > 1;
    *width = known ? w.ws_col : WIDTH;
    *height = known ? w.ws_row : HEIGHT;
}

/* The end of a name says more than its beginning. Bytes are taken for columns: a line that is too
 * short does no harm. */
static void name_print(const struct board *b, const char *name, unsigned width)
{
    size_t n = strlen(name);
    bool cut = n > width;
    const char *at = cut ? name + n - (width - 3) : name;
    while (((unsigned char)*at & 0xc0) == 0x80)
        at++;
    fprintf(b->out, "%s", cut ? "..." : "");
    for (; *at; at++)
        fputc((unsigned char)*at < ' ' || *at == 0x7f ? '?' : *at, b->out);
    for (; n < width; n++)
        fputc(' ', b->out);
}

static void job_print(const struct board *b, const struct job *j, unsigned width)
{
    char clock[32], percent[16] = "";
    time_text(now() - j->began, clock, sizeof clock);
    if (j->percent >= 0)
        snprintf(percent, sizeof percent, "%5.1f%%", j->percent);
    unsigned tail = 18; /* "  100.0%  99:59:59" */
    name_print(b, j->name, width > tail + NAME_MIN ? width - tail - 1 : NAME_MIN);
    fprintf(b->out, "  %6s  %8s\n", percent, clock);
}

static void draw_terminal(struct board *b, const struct board_total *total)
{
    unsigned width, height;
    char text[BOARD_TOTAL_MAX];
    board_clear(b);
    window(b, &width, &height);
    /* the total, a line for those that do not fit, and the one that the cursor stands in */
    size_t shown = b->n + 2 <= height ? b->n : height > 3 ? height - 3 : 0;
    for (size_t i = 0; i < shown; i++)
        job_print(b, &b->jobs[i], width);
    if (shown < b->n)
        fprintf(b->out, "and %zu more\n", b->n - shown);
    board_total_text(total, text);
    fprintf(b->out, "%.*s\n", (int)width - 1, text);
    b->lines = (unsigned)shown + (shown < b->n) + 1;
}

static void draw_log(const struct board *b, const struct board_total *total)
{
    char text[BOARD_TOTAL_MAX];
    board_total_text(total, text);
    fprintf(b->out, "%s\n", text);
}

static void draw(struct board *b, const struct board_total *total)
{
    if (b->terminal)
        draw_terminal(b, total);
    else
        draw_log(b, total);
    fflush(b->out);
    b->drawn = now();
}

void board_draw(struct board *b, const struct board_total *total)
{
    if (b && now() - b->drawn >= b->pause)
        draw(b, total);
}

void board_clear(struct board *b)
{
    if (!b || !b->lines)
        return;
    fprintf(b->out, "\033[%uA\033[J", b->lines);
    fflush(b->out);
    b->lines = 0;
}

void board_finish(struct board *b, const struct board_total *total)
{
    for (size_t i = 0; b && i < b->n; i++)
        free(b->jobs[i].name);
    if (!b)
        return;
    b->n = 0;
    draw(b, total);
    b->lines = 0;
}
