#include "io/http.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/keys.h"
#include "io/remote.h"

#define READAHEAD     (256 * KIB)
#define READAHEAD_MAX (16 * MIB)
#define CACHE_MAX     (16 * MIB) /* but two blocks at least */
#define SECTOR        512u
#define TIMEOUT       5 /* seconds */
#define TIMEOUT_MAX   10000

/* ---- members of struct file_ops -------------------------------------------------------------- */

static void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

static void http_free(struct http_file *f)
{
    http_requests_release(f);
    http_cache_release(&f->cache);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->given);
    free(f->spec.url);
    free(f->spec.username);
    free(f->spec.proxy_username);
    wipe(f->spec.cookie);
    wipe(f->spec.password);
    wipe(f->spec.proxy_password);
    free(f);
}

static int http_close(struct file *file, struct err *e)
{
    (void)e;
    http_free(http_of(file));
    return 0;
}

static uint64_t http_size(const struct file *file)
{
    return http_of(file)->size;
}

/* Part of a read that lies in one block of the cache, or all of it where that is more. */
static size_t step(const struct http_file *f, size_t len, uint64_t off)
{
    uint64_t ahead = f->spec.readahead;
    return ahead && len < ahead ? num_min(len, ahead - off % ahead) : len;
}

static int http_read(struct file *file, void *buf, size_t len, uint64_t off, size_t *got,
                     struct err *e)
{
    struct http_file *f = http_of(file);
    *got = off < f->size ? num_min(len, f->size - off) : 0;
    for (size_t done = 0, n; done < *got; done += n) {
        uint8_t *to = (uint8_t *)buf + done;
        n = step(f, *got - done, off + done);
        int r = n < f->spec.readahead ? http_cache_read(f, to, n, off + done, e)
                                      : http_get(f, to, n, off + done, e);
        if (r)
            return -1;
    }
    return 0;
}

static int http_write(struct file *file, const void *buf, size_t len, uint64_t off, struct err *e)
{
    (void)file;
    (void)buf;
    (void)len;
    (void)off;
    return file_fail(e, EROFS);
}

static const struct file_ops http_ops[] = {
    {.protocol = "http",
     .close = http_close,
     .size = http_size,
     .read = http_read,
     .write = http_write},
    {.protocol = "https",
     .close = http_close,
     .size = http_size,
     .read = http_read,
     .write = http_write},
    {.protocol = "ftp",
     .close = http_close,
     .size = http_size,
     .read = http_read,
     .write = http_write},
    {.protocol = "ftps",
     .close = http_close,
     .size = http_size,
     .read = http_read,
     .write = http_write},
};

static const struct file_ops *ops_of(const char *driver)
{
    size_t i = 0;
    while (i < ARRAY_LEN(http_ops) - 1 && strcmp(http_ops[i].protocol, driver))
        i++;
    return &http_ops[i];
}

/* ---- options --------------------------------------------------------------------------------- */

static int check_url(const char *driver, const struct http_spec *s, struct err *e)
{
    size_t n = strlen(driver);
    if (!s->url)
        return err_set(e, EINVAL, "curl block driver requires an 'url' option");
    if (!strncmp(s->url, driver, n) && !strncmp(s->url + n, "://", 3))
        return 0;
    return err_set(e, EINVAL,
                   "%s curl driver cannot handle the URL '%s' (does not start with '%s://')",
                   driver, s->url, driver);
}

static int parse_numbers(const json_t *node, struct http_spec *s, struct err *e)
{
    s->readahead = READAHEAD;
    s->timeout = TIMEOUT;
    s->sslverify = true;
    if (keys_size(node, "readahead", &s->readahead, e))
        return -1;
    if (s->readahead % SECTOR)
        return err_set(e, EINVAL, "HTTP_READAHEAD_SIZE %" PRIu64 " is not a multiple of 512",
                       s->readahead);
    s->readahead = num_min(s->readahead, READAHEAD_MAX);
    if (keys_number(node, "timeout", &s->timeout, e))
        return -1;
    if (s->timeout > TIMEOUT_MAX)
        return err_set(e, EINVAL, "timeout parameter is too large or negative");
    return keys_bool(node, "sslverify", &s->sslverify, e);
}

/* The text of the secret that `key` names. */
static int parse_secret(const json_t *node, const char *key, const struct file_secrets *secrets,
                        char **out, struct err *e)
{
    AUTO_FREE char *id = NULL;
    const uint8_t *data;
    size_t len;
    if (keys_text(node, key, &id, e))
        return -1;
    if (!id)
        return 0;
    if (!secrets->find)
        return err_set(e, ENOENT, "No secret with id '%s'", id);
    if (secrets->find(secrets->ctx, id, &data, &len, e))
        return -1;
    *out = mem_new(len + 1, 1, e);
    if (!*out)
        return -1;
    memcpy(*out, data, len);
    return 0;
}

static int parse(const json_t *node, const char *driver, const struct file_secrets *secrets,
                 struct http_spec *s, struct err *e)
{
    static const char *const known[] = {"url",
                                        "readahead",
                                        "sslverify",
                                        "timeout",
                                        "cookie",
                                        "cookie-secret",
                                        "username",
                                        "password-secret",
                                        "proxy-username",
                                        "proxy-password-secret",
                                        NULL};
    if (keys_check(node, driver, known, e) || parse_numbers(node, s, e) ||
        keys_text(node, "cookie", &s->cookie, e))
        return -1;
    if (s->cookie && json_object_get(node, "cookie-secret"))
        return err_set(e, EINVAL, "curl driver cannot handle both cookie and cookie secret");
    if (parse_secret(node, "cookie-secret", secrets, &s->cookie, e) ||
        keys_text(node, "url", &s->url, e) || check_url(driver, s, e) ||
        keys_text(node, "username", &s->username, e) ||
        parse_secret(node, "password-secret", secrets, &s->password, e) ||
        keys_text(node, "proxy-username", &s->proxy_username, e) ||
        parse_secret(node, "proxy-password-secret", secrets, &s->proxy_password, e))
        return -1;
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int learn(struct http_file *f, struct err *e)
{
    struct http_facts facts;
    if (http_head(f, &facts, e))
        return -1;
    if (facts.size < 0)
        return err_set(e, EINVAL, "Server didn't report file size.");
    if (!facts.ranges)
        return err_set(e, EINVAL, "Server does not support 'range' (byte ranges).");
    f->size = (uint64_t)facts.size;
    return 0;
}

static void start_library(void)
{
    curl_global_init(CURL_GLOBAL_ALL);
}

static struct http_file *http_new(const struct file_options *o, const char *driver, struct err *e)
{
    static pthread_once_t started = PTHREAD_ONCE_INIT;
    struct http_file *f = mem_new(1, sizeof *f, e);
    if (!f)
        return NULL;
    pthread_once(&started, start_library);
    f->file = (struct file){.ops = ops_of(driver), .opt = *o, .alignment = 1, .remote = true};
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->given, NULL);
    http_cache_init(&f->cache);
    return f;
}

static int open_parts(struct http_file *f, const json_t *spec, const char *driver, struct err *e)
{
    if (f->file.opt.write)
        return err_set(e, EROFS, "curl driver does not support writes");
    if (parse(spec, driver, &f->file.opt.secrets, &f->spec, e))
        return -1;
    if (f->spec.readahead)
        f->cache.n = num_max(2, num_min(HTTP_BLOCKS, CACHE_MAX / f->spec.readahead));
    if (learn(f, e))
        return err_prefix(e, "CURL: Error opening file: ");
    f->file.name = mem_strdup(f->spec.url, e);
    return f->file.name ? 0 : -1;
}

int http_open(const json_t *spec, const struct file_options *o, struct file **out, struct err *e)
{
    const char *driver = json_string_value(json_object_get(spec, "driver"));
    struct http_file *f = http_new(o, driver, e);
    if (!f)
        return -1;
    if (open_parts(f, spec, driver, e)) {
        http_free(f);
        return -1;
    }
    *out = &f->file;
    return 0;
}
