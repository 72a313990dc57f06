/*
 * Puts files into every state that a stop of the recorded program may leave, and asks a judge.
 *
 *   replay JOURNAL BEFORE NOW MOST JUDGE...   BEFORE: a folder with the files as they were at the
 *                                     beginning; NOW: the folder in which each state is built, for
 *                                     the judge, a command that ends with 0 if all is well
 *   replay sectors OLD NEW NOW        each sector of the file NOW is that of OLD or that of NEW
 *
 * A kill leaves all that was done up to some moment. A power cut leaves all that was synced, and of
 * the rest any part: each write whole, not at all, or some of its sectors; in any order. About
 * MOST moments are tried, evenly spread; at each the kill, the power cut that loses all, the one
 * that keeps the latest write only, and two that draw what they keep.
 *
 * CRASH_NO_SYNC=1: as if the program had never synced (does the judge see what that does?)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal.h"

#define SECTOR 512u
#define FILES  16

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* ---- files in memory ------------------------------------------------------------------------- */

struct bytes {
    unsigned char *data;
    size_t size, cap;
};

static void grow(struct bytes *b, size_t size)
{
    if (size > b->cap) {
        b->cap = size + size / 2;
        b->data = realloc(b->data, b->cap);
        if (!b->data)
            die("memory");
    }
    if (size > b->size)
        memset(b->data + b->size, 0, size - b->size);
    b->size = size;
}

static void load(const char *path, struct bytes *b)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st))
        die(path);
    b->size = 0;
    grow(b, (size_t)st.st_size);
    if (st.st_size && read(fd, b->data, (size_t)st.st_size) != st.st_size)
        die(path);
    close(fd);
}

static void store(const char *path, const struct bytes *b)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || (b->size && write(fd, b->data, b->size) != (ssize_t)b->size) || close(fd))
        die(path);
}

struct file {
    char name[JOURNAL_NAME];
    struct bytes before, now;
    size_t synced; /* records before this one are on storage */
};

static struct file file[FILES];
static size_t n_files;

static struct file *file_of(const char *name)
{
    for (size_t i = 0; i < n_files; i++)
        if (strcmp(file[i].name, name) == 0)
            return &file[i];
    if (n_files == FILES)
        die("too many files");
    struct file *f = &file[n_files++];
    snprintf(f->name, sizeof f->name, "%s", name);
    return f;
}

static void load_folder(const char *folder)
{
    DIR *d = opendir(folder);
    const struct dirent *entry;
    char path[4096];
    if (!d)
        die(folder);
    while ((entry = readdir(d))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        load(path, &file_of(entry->d_name)->before);
    }
    closedir(d);
}

/* ---- the journal ----------------------------------------------------------------------------- */

struct record {
    struct journal_record head;
    const unsigned char *data;
    struct file *file;
};

static struct record *record;
static size_t n_records;

static void load_journal(const char *path)
{
    static struct bytes all;
    bool no_sync = getenv("CRASH_NO_SYNC") != NULL;
    load(path, &all);
    for (size_t at = 0; at + sizeof(struct journal_record) <= all.size;) {
        struct record r = {.data = all.data + at + sizeof r.head};
        memcpy(&r.head, all.data + at, sizeof r.head);
        r.file = file_of(r.head.file);
        at += sizeof r.head + (r.head.kind == JOURNAL_WRITE ? r.head.length : 0);
        if (r.head.kind == JOURNAL_SYNC && no_sync)
            continue;
        if (n_records % 1024 == 0)
            record = realloc(record, (n_records + 1024) * sizeof *record);
        if (!record)
            die("memory");
        record[n_records++] = r;
    }
}

/* ---- one state ------------------------------------------------------------------------------- */

static uint64_t seed = 1;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

static void apply_bytes(struct bytes *b, uint64_t offset, uint64_t length, const void *data,
                        bool grows)
{
    if (offset + length > b->size) {
        if (!grows && offset >= b->size)
            return;
        if (grows)
            grow(b, offset + length);
        else
            length = b->size - offset;
    }
    if (data)
        memcpy(b->data + offset, data, length);
    else
        memset(b->data + offset, 0, length);
}

static void apply(const struct record *r)
{
    struct bytes *b = &r->file->now;
    switch (r->head.kind) {
    case JOURNAL_WRITE:
        apply_bytes(b, r->head.offset, r->head.length, r->data, true);
        break;
    case JOURNAL_ZERO:
        apply_bytes(b, r->head.offset, r->head.length, NULL, r->head.grows);
        break;
    case JOURNAL_TRUNCATE:
        grow(b, r->head.offset);
        break;
    }
}

/* Some of its sectors only. */
static void apply_torn(const struct record *r)
{
    uint64_t at = r->head.offset, end = at + r->head.length;
    while (at < end) {
        uint64_t next = at - at % SECTOR + SECTOR;
        if (next > end)
            next = end;
        if (draw(2))
            apply_bytes(&r->file->now, at, next - at, r->data + (at - r->head.offset), true);
        at = next;
    }
}

enum loss { LOSS_NONE, LOSS_ALL, LOSS_BUT_LATEST, LOSS_DRAWN, LOSSES };

static void apply_unsynced(const struct record *r, bool latest, enum loss loss)
{
    if (loss == LOSS_NONE || (loss == LOSS_BUT_LATEST && latest)) {
        apply(r);
    } else if (loss >= LOSS_DRAWN) {
        uint64_t fate = draw(5);
        if (fate == 0 && r->head.kind == JOURNAL_WRITE)
            apply_torn(r);
        else if (fate < 3)
            apply(r);
    }
}

/* The files as a stop before record n leaves them. */
static void build(size_t n, enum loss loss)
{
    for (size_t i = 0; i < n_files; i++) {
        struct file *f = &file[i];
        f->now.size = 0;
        grow(&f->now, f->before.size);
        if (f->before.size)
            memcpy(f->now.data, f->before.data, f->before.size);
        f->synced = 0;
    }
    for (size_t i = 0; i < n; i++)
        if (record[i].head.kind == JOURNAL_SYNC)
            record[i].file->synced = i;
    for (size_t i = 0; i < n; i++)
        if (i < record[i].file->synced)
            apply(&record[i]);
        else
            apply_unsynced(&record[i], i == n - 1, loss);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int judge(const char *folder, char **command)
{
    int status;
    char path[4096];
    for (size_t i = 0; i < n_files; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, file[i].name);
        store(path, &file[i].now);
    }
    pid_t child = fork();
    if (child == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        die("judge");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int try_all(const char *folder, size_t most, char **command)
{
    static const char *const lost[] = {"nothing", "all unsynced", "all unsynced but the latest",
                                       "some of what is unsynced", "some of what is unsynced"};
    size_t step = n_records / (most ? most : 1) + 1, states = 0, bad = 0;
    char kept[4096];
    for (size_t n = 0; n <= n_records;
         n += n + step <= n_records || n == n_records ? step : n_records - n)
        for (unsigned loss = 0; loss <= LOSSES; loss++) {
            build(n, loss < LOSSES ? loss : LOSS_DRAWN);
            states++;
            if (judge(folder, command) == 0)
                continue;
            bad++;
            printf("BAD: a stop before change %zu of %zu, lost: %s\n", n, n_records,
                   lost[loss < 4 ? loss : 4]);
            fflush(stdout);
            snprintf(kept, sizeof kept, "cp -a '%s' '%s.bad-%zu'", folder, folder, bad);
            if (getenv("CRASH_KEEP") && system(kept))
                die("cp");
        }
    printf("%zu changes, %zu states, %zu bad\n", n_records, states, bad);
    return bad ? 1 : 0;
}

static int sectors(char **name)
{
    struct bytes b[3] = {0};
    for (unsigned i = 0; i < 3; i++)
        load(name[i], &b[i]);
    for (unsigned i = 0; i < 2; i++)
        grow(&b[i], b[i].size > b[2].size ? b[i].size : b[2].size);
    for (size_t at = 0; at < b[2].size; at += SECTOR) {
        size_t n = b[2].size - at < SECTOR ? b[2].size - at : SECTOR;
        if (memcmp(b[2].data + at, b[0].data + at, n) &&
            memcmp(b[2].data + at, b[1].data + at, n)) {
            printf("the sector at %zu is neither old nor new\n", at);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "sectors") == 0)
        return sectors(argv + 2);
    if (argc < 6)
        return 2;
    load_folder(argv[2]);
    load_journal(argv[1]);
    return try_all(argv[3], strtoul(argv[4], NULL, 10), argv + 5);
}
