#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/signals.h"
#include "io/http.h"

#define REDIRECTS_MAX 30

/* One request and what came. */
struct transfer {
    CURL *h;
    uint8_t *to; /* NULL: no bytes are wanted */
    size_t len, got;
    uint64_t off;
    bool too_long;
    bool ranges;                /* "Accept-Ranges: bytes" */
    bool told;                  /* "Content-Range: bytes from-to/total" came */
    uint64_t from, upto, total; /* total UINT64_MAX: "*" */
    char text[CURL_ERROR_SIZE];
};

/* ---- what comes ------------------------------------------------------------------------------ */

/* The value of header `name` at `line`, or NULL. */
static const char *header(const char *line, size_t n, const char *name)
{
    size_t len = strlen(name);
    if (n <= len || strncasecmp(line, name, len) || line[len] != ':')
        return NULL;
    line += len + 1;
    while (*line == ' ' || *line == '\t')
        line++;
    return line;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *data)
{
    struct transfer *t = data;
    char line[256];
    n *= size;
    size_t len = num_min(n, sizeof line - 1);
    memcpy(line, bytes, len);
    line[len] = '\0';
    if (!strncasecmp(line, "HTTP/", 5)) /* a new answer, after a redirect */
        t->ranges = t->told = false;
    const char *v = header(line, len, "Accept-Ranges");
    if (v && !strncasecmp(v, "bytes", 5))
        t->ranges = true;
    v = header(line, len, "Content-Range");
    if (v &&
        sscanf(v, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, &t->from, &t->upto, &t->total) == 3)
        t->told = true;
    else if (v && sscanf(v, "bytes %" SCNu64 "-%" SCNu64 "/*", &t->from, &t->upto) == 2) {
        t->told = true;
        t->total = UINT64_MAX;
    }
    return n;
}

/* A server that answers with the whole file is not heard out. */
static size_t on_bytes(char *bytes, size_t size, size_t n, void *data)
{
    struct transfer *t = data;
    n *= size;
    t->too_long = n > t->len - t->got;
    if (t->too_long)
        return 0;
    memcpy(t->to + t->got, bytes, n);
    t->got += n;
    return n;
}

static int on_progress(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)data;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return signals_stop() != 0;
}

/* ---- handles --------------------------------------------------------------------------------- */

#if LIBCURL_VERSION_NUM >= 0x075500
static CURLcode set_protocols(CURL *h)
{
    static const char protocols[] = "http,https,ftp,ftps";
    CURLcode rc = curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, protocols);
    return rc ? rc : curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
}
#else
static CURLcode set_protocols(CURL *h)
{
    long protocols = CURLPROTO_HTTP | CURLPROTO_HTTPS | CURLPROTO_FTP | CURLPROTO_FTPS;
    CURLcode rc = curl_easy_setopt(h, CURLOPT_PROTOCOLS, protocols);
    return rc ? rc : curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS, protocols);
}
#endif

static CURLcode set_text(CURL *h, CURLoption option, const char *text)
{
    return text ? curl_easy_setopt(h, option, text) : CURLE_OK;
}

static CURLcode set_options(CURL *h, const struct http_spec *s)
{
    long timeout = (long)s->timeout;
    CURLcode rc[] = {
        curl_easy_setopt(h, CURLOPT_URL, s->url),
        set_protocols(h),
        curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(h, CURLOPT_FAILONERROR, 1L),
        curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 1L),
        curl_easy_setopt(h, CURLOPT_AUTOREFERER, 1L),
        curl_easy_setopt(h, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX),
        curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, s->sslverify ? 1L : 0L),
        curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, s->sslverify ? 2L : 0L),
        /* a server may take as long as it goes on sending */
        curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, timeout),
        curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L),
        curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, timeout),
        curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header),
        curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_bytes),
        curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress),
        curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L),
        curl_easy_setopt(h, CURLOPT_BUFFERSIZE, (long)CURL_MAX_READ_SIZE),
        set_text(h, CURLOPT_COOKIE, s->cookie),
        set_text(h, CURLOPT_USERNAME, s->username),
        set_text(h, CURLOPT_PASSWORD, s->password),
        set_text(h, CURLOPT_PROXYUSERNAME, s->proxy_username),
        set_text(h, CURLOPT_PROXYPASSWORD, s->proxy_password),
    };
    for (size_t i = 0; i < ARRAY_LEN(rc); i++)
        if (rc[i])
            return rc[i];
    return CURLE_OK;
}

static CURL *handle_new(const struct http_file *f, struct err *e)
{
    CURL *h = curl_easy_init();
    CURLcode rc = h ? set_options(h, &f->spec) : CURLE_OUT_OF_MEMORY;
    if (!rc)
        return h;
    if (h)
        curl_easy_cleanup(h);
    err_set(e, EINVAL, "curl library initialization failed: %s", curl_easy_strerror(rc));
    return NULL;
}

/* h NULL: none could be made */
static void handle_give(struct http_file *f, CURL *h)
{
    pthread_mutex_lock(&f->lock);
    if (h)
        f->idle[f->n_idle++] = h;
    f->in_use--;
    pthread_cond_signal(&f->given);
    pthread_mutex_unlock(&f->lock);
}

/* Waits for its turn. */
static CURL *handle_take(struct http_file *f, struct err *e)
{
    pthread_mutex_lock(&f->lock);
    while (f->in_use == HTTP_CONNECTIONS)
        pthread_cond_wait(&f->given, &f->lock);
    f->in_use++;
    CURL *h = f->n_idle ? f->idle[--f->n_idle] : NULL;
    pthread_mutex_unlock(&f->lock);
    if (!h && !(h = handle_new(f, e)))
        handle_give(f, NULL);
    return h;
}

void http_requests_release(struct http_file *f)
{
    while (f->n_idle)
        curl_easy_cleanup(f->idle[--f->n_idle]);
}

/* ---- one request ----------------------------------------------------------------------------- */

static void ask_head(struct transfer *t)
{
    curl_easy_setopt(t->h, CURLOPT_RANGE, NULL);
    curl_easy_setopt(t->h, CURLOPT_NOBODY, 1L);
}

static void ask_range(struct transfer *t)
{
    char range[48];
    snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, t->off, t->off + t->len - 1);
    curl_easy_setopt(t->h, CURLOPT_NOBODY, 0L);
    curl_easy_setopt(t->h, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(t->h, CURLOPT_RANGE, range);
}

/* The text is empty where libcurl has said nothing more than its code. */
static int failed(const struct transfer *t, CURLcode rc, struct err *e)
{
    if (rc == CURLE_ABORTED_BY_CALLBACK)
        return file_fail(e, EINTR);
    return err_set(e, EIO, "%s", t->text[0] ? t->text : curl_easy_strerror(rc));
}

static CURLcode perform(struct http_file *f, struct transfer *t, void (*ask)(struct transfer *t),
                        struct err *e)
{
    t->h = handle_take(f, e);
    if (!t->h)
        return CURLE_OUT_OF_MEMORY;
    t->got = 0;
    t->text[0] = '\0';
    t->too_long = t->ranges = t->told = false;
    ask(t);
    curl_easy_setopt(t->h, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->h, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->h, CURLOPT_ERRORBUFFER, t->text);
    CURLcode rc = curl_easy_perform(t->h);
    curl_easy_setopt(t->h, CURLOPT_ERRORBUFFER, NULL);
    return rc;
}

static bool is_http(const struct http_file *f)
{
    return !strncmp(f->spec.url, "http", 4);
}

static long status_of(const struct transfer *t)
{
    long status = 0;
    curl_easy_getinfo(t->h, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* ---- the whole file -------------------------------------------------------------------------- */

/* Some servers know GET alone, such as those whose names are signed for one purpose. */
static bool may_know_get(const struct http_file *f, const struct transfer *t, CURLcode rc,
                         const struct http_facts *facts)
{
    long status = status_of(t);
    bool refused = rc == CURLE_HTTP_RETURNED_ERROR && status >= 400 && status != 404;
    return is_http(f) && (refused || (!rc && (!facts->ranges || facts->size < 0)));
}

/* Ask for the first byte: the answer tells how many there are. True if it did. */
static bool head_by_get(struct http_file *f, struct http_facts *out, struct err *e)
{
    uint8_t byte;
    struct transfer t = {.to = &byte, .len = 1};
    CURLcode rc = perform(f, &t, ask_range, e);
    if (!t.h)
        return false;
    bool good = !rc && status_of(&t) == 206 && t.told && t.total <= INT64_MAX;
    handle_give(f, t.h);
    if (good)
        *out = (struct http_facts){(int64_t)t.total, true};
    return good;
}

int http_head(struct http_file *f, struct http_facts *out, struct err *e)
{
    struct transfer t = {0};
    curl_off_t length = -1;
    CURLcode rc = perform(f, &t, ask_head, e);
    if (!t.h)
        return -1;
    if (!rc)
        curl_easy_getinfo(t.h, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    *out = (struct http_facts){length, t.ranges || !is_http(f)};
    bool again = may_know_get(f, &t, rc, out);
    handle_give(f, t.h);
    if (again && head_by_get(f, out, e))
        return 0;
    err_clear(e);
    return rc ? failed(&t, rc, e) : 0;
}

/* ---- a range --------------------------------------------------------------------------------- */

/* Is it the part of that file that was asked for? */
static const char *complaint(const struct http_file *f, const struct transfer *t)
{
    bool all = t->off == 0 && t->len == f->size;
    if (!is_http(f) || (status_of(t) != 206 && all))
        return NULL;
    if (status_of(t) != 206)
        return "the server sent the whole file, not the range that was asked for";
    if (t->told && t->total != UINT64_MAX && t->total != f->size)
        return "the file has changed its size on the server";
    if (t->told && (t->from != t->off || t->upto != t->off + t->len - 1))
        return "the server sent another range than was asked for";
    return NULL;
}

static int range_failed(const struct http_file *f, const struct transfer *t, CURLcode rc,
                        struct err *e)
{
    const char *why = rc && !t->too_long ? NULL : complaint(f, t);
    if (rc == CURLE_ABORTED_BY_CALLBACK)
        return file_fail(e, EINTR);
    if (!why && t->too_long)
        why = "the server sent more than was asked for";
    if (!why && rc)
        why = t->text[0] ? t->text : curl_easy_strerror(rc);
    if (!why && t->got < t->len)
        why = "the server sent less than was asked for";
    return why ? err_set(e, EIO, "%s (%s)", strerror(EIO), why) : 0;
}

int http_get(struct http_file *f, void *buf, size_t len, uint64_t off, struct err *e)
{
    struct transfer t = {.to = buf, .len = len, .off = off};
    CURLcode rc = perform(f, &t, ask_range, e);
    if (!t.h)
        return -1;
    int r = range_failed(f, &t, rc, e);
    handle_give(f, t.h);
    return r;
}
