#include "fleet/results.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "fleet/lines.h"
#include "fleet/names.h"
#include "fleet/order.h"
#include "fleet/state.h"

#define SYNC_SECONDS 5

struct results {
    int fd;
    char *path;
    time_t synced;
    bool dirty;
    bool locked;
};

/* ---- reading --------------------------------------------------------------------------------- */

#define LAST_FAILED UINT64_MAX

struct reading {
    const struct manifest *m;
    struct names *names;
    FILE *in;
    char *text; /* of a record */
    uint64_t
        *last; /* of an item: 1 + where its last record stands; LAST_FAILED; 0: there is none */
    bool *skip;
    struct results_count *count;
};

static const char *text_of(const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

static size_t item_of(const struct reading *r, const json_t *record)
{
    struct names_file f;
    const char *target = text_of(record, "target");
    if (strcmp(text_of(record, "record"), "image") != 0 || !names_is_path(target))
        return ORDER_NONE;
    names_look(r->names, target, &f);
    return manifest_find_target(r->m, f.key);
}

/* What is no record (torn, by another hand) says nothing: then the image is done again. */
static json_t *record_of(const struct lines_record *line)
{
    json_error_t why;
    return line->too_long ? NULL : json_loadb(line->text, line->length, 0, &why);
}

static int read_last(struct reading *r, struct err *e)
{
    struct lines lines = {.in = r->in, .kind = LINES_JSON, .line = 1};
    struct lines_record line = {.text = r->text};
    int more;
    while ((more = lines_next(&lines, &line, e)) > 0) {
        json_t *record = record_of(&line);
        size_t i = item_of(r, record);
        if (i != ORDER_NONE) {
            bool done = strcmp(text_of(record, "status"), "done") == 0;
            r->last[i] = done ? line.at + 1 : LAST_FAILED;
        }
        json_decref(record);
    }
    return more;
}

static void request_text(const struct manifest_item *item, char text[20])
{
    snprintf(text, 20, "%016" PRIx64, item->request);
}

static bool is_state(const char *path, const json_t *state)
{
    json_t *now = names_is_path(path) ? fleet_state(path) : json_null();
    bool same = now && state && json_equal(now, state);
    json_decref(now);
    return same;
}

static bool is_done(const struct manifest_item *item, const json_t *record)
{
    char request[20];
    request_text(item, request);
    return strcmp(text_of(record, "request"), request) == 0 &&
           is_state(text_of(record, "source"), json_object_get(record, "source_state")) &&
           is_state(text_of(record, "target"), json_object_get(record, "target_state"));
}

static int look_at_last(struct reading *r, size_t i, struct err *e)
{
    struct lines lines = {.in = r->in, .kind = LINES_JSON, .line = 1, .at = r->last[i] - 1};
    struct lines_record line = {.text = r->text};
    if (fseeko(r->in, (off_t)lines.at, SEEK_SET) || lines_next(&lines, &line, e) < 0)
        return -1;
    json_t *record = record_of(&line);
    r->skip[i] = is_done(manifest_item(r->m, i), record);
    json_decref(record);
    return 0;
}

static int look_at_all(struct reading *r, struct err *e)
{
    for (size_t i = 0; i < manifest_count(r->m); i++) {
        bool done = r->last[i] && r->last[i] != LAST_FAILED;
        if (done && look_at_last(r, i, e))
            return -1;
        r->count->done += r->skip[i];
        r->count->failed += r->last[i] == LAST_FAILED;
        r->count->changed += done && !r->skip[i];
    }
    return 0;
}

static int read_done(struct reading *r, struct err *e)
{
    AUTO_FREE char *text = mem_new(LINES_MAX + 1, 1, e);
    AUTO_FREE uint64_t *last = text ? mem_new(manifest_count(r->m), sizeof *last, e) : NULL;
    AUTO(names_cleanup) struct names *names = last ? names_new(e) : NULL;
    r->text = text;
    r->last = last;
    r->names = names;
    return !names || read_last(r, e) || look_at_all(r, e) ? -1 : 0;
}

int results_done(const char *path, const struct manifest *m, bool *skip,
                 struct results_count *count, struct err *e)
{
    *count = (struct results_count){0};
    memset(skip, 0, manifest_count(m) * sizeof *skip);
    struct reading r = {.m = m, .skip = skip, .count = count, .in = fopen(path, "re")};
    if (!r.in && errno == ENOENT)
        return 0;
    if (!r.in)
        return err_errno(e, errno, "Could not open the results '%s'", path);
    int status = read_done(&r, e);
    fclose(r.in);
    return status ? err_prefix(e, "The results '%s': ", path) : 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int lock(struct results *r, struct err *e)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(r->fd, F_OFD_SETLK, &whole) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return err_set(e, EBUSY, "Another fleet is writing the results '%s'", r->path);
    /* a file system without locks: whoever uses it knows */
    return errno == ENOLCK || errno == ENOTSUP || errno == ENOSYS
               ? 0
               : err_errno(e, errno, "Could not lock the results '%s'", r->path);
}

/* The first line of a results file is that of a run; it may be torn. */
static int check_head(const struct results *r, struct err *e)
{
    static const char head[] = "{\"record\":\"run\"";
    char found[sizeof head] = "";
    ssize_t n = pread(r->fd, found, strlen(head), 0);
    if (n >= 0 && strncmp(found, head, (size_t)n) == 0)
        return 0;
    return err_set(e, EINVAL, "'%s' is no results file of a fleet", r->path);
}

/* Where the last whole line ends. */
static int find_end(const struct results *r, uint64_t size, uint64_t *end, struct err *e)
{
    char buf[4096];
    for (*end = size; *end;) {
        size_t n = *end < sizeof buf ? (size_t)*end : sizeof buf;
        ssize_t got = pread(r->fd, buf, n, (off_t)(*end - n));
        if (got != (ssize_t)n)
            return err_errno(e, got < 0 ? errno : EIO, "Could not read the results '%s'", r->path);
        const char *newline = memrchr(buf, '\n', n);
        *end -= n;
        if (!newline)
            continue;
        *end += (uint64_t)(newline - buf) + 1;
        break;
    }
    return 0;
}

static int cut_torn(const struct results *r, struct err *e)
{
    struct stat st;
    uint64_t end;
    if (fstat(r->fd, &st))
        return err_errno(e, errno, "Could not read the results '%s'", r->path);
    if (find_end(r, (uint64_t)st.st_size, &end, e))
        return -1;
    if (end < (uint64_t)st.st_size && ftruncate(r->fd, (off_t)end))
        return err_errno(e, errno, "Could not mend the end of the results '%s'", r->path);
    return 0;
}

/* Whoever left it empty has removed it meanwhile: what is locked must be what has the name. */
static bool has_name(const struct results *r)
{
    struct stat ours, named;
    return fstat(r->fd, &ours) == 0 && stat(r->path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

static int open_locked(struct results *r, struct err *e)
{
    do {
        if (r->fd >= 0)
            close(r->fd);
        r->fd = open(r->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
        if (r->fd < 0)
            return err_errno(e, errno, "Could not open the results '%s'", r->path);
        if (lock(r, e))
            return -1;
    } while (!has_name(r));
    return 0;
}

int results_open(const char *path, struct results **out, struct err *e)
{
    AUTO(results_cleanup) struct results *r = mem_new(1, sizeof *r, e);
    if (!r)
        return -1;
    r->fd = -1;
    r->path = mem_strdup(path, e);
    if (!r->path)
        return -1;
    if (open_locked(r, e))
        return -1;
    r->locked = true;
    if (check_head(r, e) || cut_torn(r, e))
        return -1;
    r->synced = time(NULL);
    *out = MEM_TAKE(r);
    return 0;
}

/* ---- appending ------------------------------------------------------------------------------- */

static int write_line(struct results *r, const char *line, size_t n, struct err *e)
{
    while (n) {
        ssize_t done = write(r->fd, line, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return err_errno(e, errno, "Could not write the results '%s'", r->path);
        line += done;
        n -= (size_t)done;
    }
    r->dirty = true;
    return results_tick(r, e);
}

int results_add(struct results *r, const json_t *record, struct err *e)
{
    AUTO_FREE char *text = json_dumps(record, JSON_COMPACT);
    AUTO_FREE char *line = text ? mem_printf(e, "%s\n", text) : NULL;
    if (!text)
        return err_nomem(e);
    return line ? write_line(r, line, strlen(line), e) : -1;
}

int results_add_image(struct results *r, const struct manifest_item *item, const json_t *record,
                      struct err *e)
{
    char request[20];
    request_text(item, request);
    json_t *whole = json_copy((json_t *)record);
    int status = whole && json_object_set_new(whole, "request", json_string(request)) == 0
                     ? results_add(r, whole, e)
                     : err_nomem(e);
    json_decref(whole);
    return status;
}

static int sync_now(struct results *r, struct err *e)
{
    if (r->dirty && fdatasync(r->fd) && errno != EINVAL && errno != EROFS)
        return err_errno(e, errno, "Could not sync the results '%s'", r->path);
    r->dirty = false;
    r->synced = time(NULL);
    return 0;
}

int results_tick(struct results *r, struct err *e)
{
    return r->dirty && time(NULL) - r->synced >= SYNC_SECONDS ? sync_now(r, e) : 0;
}

/* A fleet that was refused leaves no file behind. */
static void remove_empty(const struct results *r)
{
    struct stat st;
    if (r->locked && fstat(r->fd, &st) == 0 && st.st_size == 0 && has_name(r))
        unlink(r->path);
}

int results_close(struct results *r, struct err *e)
{
    if (!r)
        return 0;
    int status = r->fd >= 0 ? sync_now(r, e) : 0;
    remove_empty(r);
    if (r->fd >= 0)
        close(r->fd);
    free(r->path);
    free(r);
    return status;
}

void results_cleanup(struct results **r)
{
    struct err e;
    e.set = false;
    results_close(*r, &e);
}
