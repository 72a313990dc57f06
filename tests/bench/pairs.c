/*
 * Time commands against each other, fairly: one round runs each of them once, in turn, so that
 * whatever else the machine does hits all alike; medians of all rounds are printed.
 *
 *   bench_pairs [--runs N] [--before SHELL] SHELL...   one line a command:
 *                       wall-median wall-min wall-max cpu-median peak-KiB ratio-to-first
 *   bench_pairs --one PROGRAM ARGS...                  one run: wall cpu peak-KiB
 *
 * `before` runs untimed before each command (to remove an output). The ratio is the median over
 * rounds of this command's wall time divided by the first's in the same round.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 16
#define RUNS_MAX     101

struct sample {
    double wall, cpu;
    long peak; /* KiB, the largest process */
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* Runs with stdout thrown away; returns its exit status. */
static int run(char *const *argv, struct sample *out)
{
    struct rusage usage;
    double begin = now();
    int status;
    pid_t pid = fork();

    if (pid < 0)
        return -1;
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, 1);
        execvp(argv[0], argv);
        fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    if (wait4(pid, &status, 0, &usage) < 0)
        return -1;
    out->wall = now() - begin;
    out->cpu = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
    out->peak = usage.ru_maxrss;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_shell(const char *text, struct sample *out)
{
    char *argv[] = {"/bin/sh", "-c", NULL, NULL};
    struct sample unused;
    char *copy = strdup(text);
    int rc;

    if (!copy)
        return -1;
    argv[2] = copy;
    rc = run(argv, out ? out : &unused);
    free(copy);
    if (rc != 0)
        fprintf(stderr, "bench_pairs: exit %d: %s\n", rc, text);
    return rc;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof(*v), compare_doubles);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static struct sample samples[COMMANDS_MAX][RUNS_MAX];

static void print_command(int command, int runs)
{
    double wall[RUNS_MAX], cpu[RUNS_MAX], ratio[RUNS_MAX];
    long peak = 0;

    for (int i = 0; i < runs; i++) {
        const struct sample *s = &samples[command][i];

        wall[i] = s->wall;
        cpu[i] = s->cpu;
        ratio[i] = s->wall / samples[0][i].wall;
        if (s->peak > peak)
            peak = s->peak;
    }
    double middle = median(wall, runs); /* sorts */

    printf("%.4f %.4f %.4f %.4f %ld %.3f\n", middle, wall[0], wall[runs - 1], median(cpu, runs),
           peak, median(ratio, runs));
}

static int pairs(int runs, const char *before, char **commands, int n)
{
    for (int i = 0; i < runs; i++) {
        for (int c = 0; c < n; c++) {
            if (before && run_shell(before, NULL) != 0)
                return 1;
            if (run_shell(commands[c], &samples[c][i]) != 0)
                return 1;
        }
    }
    for (int c = 0; c < n; c++)
        print_command(c, runs);
    return 0;
}

static int one(char **argv)
{
    struct sample s;
    int rc = run(argv, &s);

    if (rc == 0)
        printf("%.4f %.4f %ld\n", s.wall, s.cpu, s.peak);
    return rc < 0 ? 1 : rc;
}

int main(int argc, char **argv)
{
    const char *before = NULL;
    int runs = 5, at = 1;

    if (argc > 2 && strcmp(argv[1], "--one") == 0)
        return one(argv + 2);
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        if (strcmp(argv[at], "--runs") == 0)
            runs = atoi(argv[at + 1]);
        else if (strcmp(argv[at], "--before") == 0)
            before = argv[at + 1];
    }
    if (at >= argc || argc - at > COMMANDS_MAX || runs < 1 || runs > RUNS_MAX) {
        fprintf(stderr, "usage: bench_pairs [--runs N] [--before SHELL] SHELL...\n");
        return 1;
    }
    return pairs(runs, before, argv + at, argc - at);
}
