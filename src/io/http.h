/*
 * Files on web servers, read in ranges: what its parts share.
 *
 *   http.c          the file: options, what the server tells of it
 *   http_request.c  one request; connections that are kept for the next
 *   http_cache.c    small reads, served from larger ones
 */
#ifndef IO_HTTP_H
#define IO_HTTP_H

#include <curl/curl.h>
#include <pthread.h>

#include "io/file_ops.h"

#define HTTP_CONNECTIONS 8  /* at a time: many servers refuse those who ask for more */
#define HTTP_BLOCKS      32 /* of the cache */

struct http_spec {
    char *url;
    char *cookie;
    char *username, *password;
    char *proxy_username, *proxy_password;
    bool sslverify;
    uint64_t readahead; /* bytes; 0 = none */
    uint64_t timeout;   /* seconds without a byte; 0 = for ever */
};

enum http_state { HTTP_EMPTY, HTTP_COMING, HTTP_THERE };

struct http_block {
    enum http_state state;
    uint64_t number;
    unsigned readers; /* threads that copy from it or wait for it */
    uint64_t used;
    uint8_t *data; /* readahead bytes, fewer at the end of the file */
};

struct http_cache {
    pthread_mutex_t lock;
    pthread_cond_t came; /* a block, or its failure */
    uint64_t clock;
    size_t n; /* blocks that are used */
    struct http_block block[HTTP_BLOCKS];
};

struct http_file {
    struct file file;
    struct http_spec spec;
    uint64_t size;
    pthread_mutex_t lock;
    pthread_cond_t given;
    CURL *idle[HTTP_CONNECTIONS];
    unsigned n_idle, in_use;
    struct http_cache cache;
};

static inline struct http_file *http_of(const struct file *f)
{
    return (struct http_file *)(uintptr_t)f;
}

/* ---- http_request.c -------------------------------------------------------------------------- */

/* What the server tells of the whole file. */
struct http_facts {
    int64_t size; /* -1: it does not tell */
    bool ranges;  /* it gives parts */
};

/* The texts of errors are those of libcurl. */
int http_head(struct http_file *f, struct http_facts *out, struct err *e);
/* A range, whole: num_inside of the file. */
int http_get(struct http_file *f, void *buf, size_t len, uint64_t off, struct err *e);
void http_requests_release(struct http_file *f);

/* ---- http_cache.c ---------------------------------------------------------------------------- */

void http_cache_init(struct http_cache *c);
void http_cache_release(struct http_cache *c);
/* Within one block of the cache. */
int http_cache_read(struct http_file *f, void *buf, size_t len, uint64_t off, struct err *e);

#endif
