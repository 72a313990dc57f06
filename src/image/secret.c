#include "image/secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/crypt/crypt.h"
#include "image/json_text.h"

#define SECRET_MAX (64 * MIB)

struct secret {
    char *id;
    uint8_t *data;
    size_t len;
};

struct secrets {
    struct secret *all;
    size_t n;
};

/* ---- the list -------------------------------------------------------------------------------- */

struct secrets *secrets_new(struct err *e)
{
    return mem_new(1, sizeof(struct secrets), e);
}

static void wipe(uint8_t *data, size_t len)
{
    if (data)
        explicit_bzero(data, len);
    free(data);
}

void secrets_free(struct secrets *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        wipe(s->all[i].data, s->all[i].len);
        free(s->all[i].id);
    }
    free(s->all);
    free(s);
}

void secrets_cleanup(struct secrets **s)
{
    secrets_free(*s);
    *s = NULL;
}

static const struct secret *find(const struct secrets *s, const char *id)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (!strcmp(s->all[i].id, id))
            return &s->all[i];
    return NULL;
}

int secrets_find(const struct secrets *s, const char *id, const uint8_t **data, size_t *len,
                 struct err *e)
{
    const struct secret *found = find(s, id);
    if (!found)
        return err_set(e, ENOENT, "No secret with id '%s'", id);
    *data = found->data;
    *len = found->len;
    return 0;
}

/* Takes data. */
static int insert(struct secrets *s, const char *id, uint8_t *data, size_t len, struct err *e)
{
    struct secret *more = mem_grow(s->all, s->n + 1, sizeof *more, e);
    if (more)
        s->all = more;
    char *copy = more ? mem_strdup(id, e) : NULL;
    if (!copy) {
        wipe(data, len);
        return -1;
    }
    s->all[s->n++] = (struct secret){copy, data, len};
    return 0;
}

/* ---- what is in it --------------------------------------------------------------------------- */

/* All of an open file; grows as it goes, since it may be a pipe. */
static int read_all(int fd, const char *path, uint8_t **data, size_t *len, struct err *e)
{
    size_t cap = 0;
    ssize_t got = 1;
    while (got > 0) {
        if (*len == cap) {
            if (cap >= SECRET_MAX)
                return err_set(e, EFBIG, "secret is too large");
            uint8_t *more = mem_new(cap ? cap * 2 : 4096, 1, e);
            if (!more)
                return -1;
            if (*data)
                memcpy(more, *data, *len);
            wipe(*data, cap);
            *data = more;
            cap = cap ? cap * 2 : 4096;
        }
        got = read(fd, *data + *len, cap - *len);
        if (got < 0 && errno != EINTR)
            return err_errno(e, errno, "Error reading file \u201c%s\u201d", path);
        *len += got > 0 ? (size_t)got : 0;
        got = got < 0 ? 1 : got;
    }
    return 0;
}

static int load_file(const char *path, uint8_t **data, size_t *len, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "Unable to read %s: Failed to open file \u201c%s\u201d", path,
                         path);
    int rc = read_all(fd, path, data, len, e);
    close(fd);
    return rc ? err_prefix(e, "Unable to read %s: ", path) : 0;
}

static int base64_digit(uint8_t c)
{
    if (isupper(c))
        return c - 'A';
    if (islower(c))
        return c - 'a' + 26;
    if (isdigit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* In place. Line ends are passed over; '=' only at the end. What does not make a group of four
 * characters is dropped, as the original does. */
static int base64_decode(uint8_t *data, size_t *len, struct err *e)
{
    uint32_t bits = 0;
    unsigned n_bits = 0, in_group = 0;
    size_t out = 0, whole = 0; /* bytes; those of groups that are complete */
    bool ended = false;
    for (size_t i = 0; i < *len; i++) {
        int digit = base64_digit(data[i]);
        if (data[i] == '\n' || data[i] == '\r')
            continue;
        ended |= data[i] == '=';
        if (digit < 0 && data[i] != '=')
            return err_set(e, EINVAL, "Base64 data contains invalid characters");
        if (ended && digit >= 0)
            return err_set(e, EINVAL, "Base64 data is not valid");
        bits = bits << 6 | (uint32_t)(ended ? 0 : digit);
        n_bits += ended ? 0 : 6;
        if (n_bits >= 8)
            data[out++] = (uint8_t)(bits >> (n_bits -= 8));
        in_group = (in_group + 1) % 4;
        whole = in_group ? whole : out;
    }
    *len = whole;
    return 0;
}

/* ---- one object ------------------------------------------------------------------------------ */

static const char *value(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static bool is_identifier(const char *s)
{
    bool ok = isalpha((unsigned char)*s);
    for (; *s; s++)
        ok &= isalnum((unsigned char)*s) || strchr("-._", *s);
    return ok;
}

static int check_id(const struct secrets *s, const char *id, struct err *e)
{
    if (!id)
        return err_set(e, EINVAL, "Parameter 'id' is missing");
    if (!is_identifier(id)) {
        err_set(e, EINVAL, "Parameter 'id' expects an identifier");
        err_hint(e, "Identifiers consist of letters, digits, '-', '.', '_', starting with a "
                    "letter.");
        return -1;
    }
    if (find(s, id))
        return err_set(e, EEXIST,
                       "attempt to add duplicate property '%s' to object (type 'container')", id);
    return 0;
}

static int check_keys(const json_t *o, struct err *e)
{
    static const char *const known[] = {"qom-type", "id", "data", "file", "format", "keyid", "iv"};
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)o, key, v)
    {
        size_t i = 0;
        while (i < ARRAY_LEN(known) && strcmp(known[i], key))
            i++;
        if (i == ARRAY_LEN(known))
            return err_set(e, EINVAL, "Parameter '%s' is unexpected", key);
        if (!json_is_string(v))
            return err_set(e, EINVAL, "Invalid parameter type for '%s', expected: string", key);
    }
    return 0;
}

/* ---- wrapped secrets: encrypted with another one ------------------------------------------- */

#define WRAP_KEY   32u
#define WRAP_BLOCK 16u

/* The text under "iv", decoded. */
static int load_iv(const char *text, uint8_t iv[WRAP_BLOCK], struct err *e)
{
    if (!text)
        return err_set(e, EINVAL, "IV is required to decrypt secret");
    AUTO_FREE uint8_t *raw = (uint8_t *)mem_strdup(text, e);
    size_t len = strlen(text);
    if (!raw || base64_decode(raw, &len, e))
        return -1;
    if (len != WRAP_BLOCK)
        return err_set(e, EINVAL, "IV should be %u bytes in length not %zu", WRAP_BLOCK, len);
    memcpy(iv, raw, WRAP_BLOCK);
    return 0;
}

/* In place. The last byte says how many were added to fill the last block. */
static int unwrap(const struct secrets *s, const char *keyid, const char *iv_text, uint8_t *data,
                  size_t *len, struct err *e)
{
    const struct secret *key = find(s, keyid);
    uint8_t iv[WRAP_BLOCK];
    if (!key)
        return err_set(e, ENOENT, "No secret with id '%s'", keyid);
    if (key->len != WRAP_KEY)
        return err_set(e, EINVAL, "Key should be %u bytes in length", WRAP_KEY);
    if (load_iv(iv_text, iv, e))
        return -1;
    if (*len % WRAP_BLOCK)
        return err_set(e, EINVAL, "Length %zu must be a multiple of block size %u", *len,
                       WRAP_BLOCK);
    if (!*len)
        return 0;
    if (crypt_aes_cbc_decrypt(key->data, iv, data, *len, e))
        return -1;
    uint8_t padding = data[*len - 1];
    if (padding > WRAP_BLOCK)
        return err_set(e, EINVAL, "Incorrect number of padding bytes (%u) found on decrypted data",
                       padding);
    *len -= padding;
    return 0;
}

/* ---- one object, as it is given -------------------------------------------------------------- */

static int load(const json_t *o, uint8_t **data, size_t *len, struct err *e)
{
    const char *text = value(o, "data"), *file = value(o, "file"), *format = value(o, "format");
    if (format && strcmp(format, "raw") && strcmp(format, "base64"))
        return err_set(e, EINVAL, "Parameter 'format' does not accept value '%s'", format);
    if (text && file)
        return err_set(e, EINVAL, "'file' and 'data' are mutually exclusive");
    if (!text && !file)
        return err_set(e, EINVAL, "Either 'file' or 'data' must be provided");
    if (text && !(*data = (uint8_t *)mem_strdup(text, e)))
        return -1;
    *len = text ? strlen(text) : 0;
    if (file && load_file(file, data, len, e))
        return -1;
    return format && !strcmp(format, "base64") ? base64_decode(*data, len, e) : 0;
}

static int add_secret(struct secrets *s, const json_t *o, struct err *e)
{
    const char *id = value(o, "id"), *keyid = value(o, "keyid");
    uint8_t *data = NULL;
    size_t len = 0;
    if (check_keys(o, e) || check_id(s, id, e))
        return -1;
    if (load(o, &data, &len, e) || (keyid && unwrap(s, keyid, value(o, "iv"), data, &len, e))) {
        wipe(data, len);
        return -1;
    }
    return insert(s, id, data, len, e);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* "secret,id=a,data=x,,y": the first key may be left out, it is qom-type. */
static json_t *parse_options(const char *text, struct err *e)
{
    json_t *o = json_object();
    AUTO_FREE char *room = mem_new(strlen(text) + 1, 1, e);
    for (const char *s = text; o && room && *s;) {
        size_t n = strcspn(s, "=,");
        bool valued = s[n] == '=';
        if (!valued && s != text) {
            err_set(e, EINVAL, "Expected '=' after parameter '%.*s'", (int)n, s);
            json_decref(o);
            return NULL;
        }
        AUTO_FREE char *key = valued ? strndup(s, n) : strdup("qom-type");
        char *out = room;
        for (s += valued ? n + 1 : 0; *s && (*s != ',' || s[1] == ','); s++) {
            s += *s == ',';
            *out++ = *s;
        }
        *out = '\0';
        s += *s == ',';
        if (!key || json_object_set_new_nocheck(o, key, json_string_nocheck(room)))
            break;
        if (!*s)
            return o;
    }
    if (o && room && !*text)
        return o;
    json_decref(o);
    err_nomem(e);
    return NULL;
}

/* Objects of qemu-img that steer nothing in this program. */
static bool is_ignored(const char *type)
{
    static const char *const types[] = {"main-loop",        "throttle-group", "thread-context",
                                        "authz-list",       "authz-simple",   "authz-list-file",
                                        "tls-cipher-suites"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (!strcmp(types[i], type))
            return true;
    return false;
}

int secrets_add(struct secrets *s, const char *text, struct err *e)
{
    json_t *o = *text == '{' ? json_text_parse(text, e) : parse_options(text, e);
    if (!o)
        return -1;
    const char *type = value(o, "qom-type");
    int rc;
    if (!type)
        rc = err_set(e, EINVAL, "Parameter 'qom-type' is missing");
    else if (!strcmp(type, "secret"))
        rc = add_secret(s, o, e);
    else if (is_ignored(type))
        rc = check_id(s, value(o, "id"), e);
    else
        rc = err_set(e, EINVAL, "Parameter 'qom-type' does not accept value '%s'", type);
    json_decref(o);
    return rc;
}

bool secrets_help(const char *text, const char **answer)
{
    static const char types[] = "List of user creatable objects:\n"
                                "  secret\n";
    static const char options[] = "secret options:\n"
                                  "  data=<string>\n"
                                  "  file=<string>\n"
                                  "  format=<QCryptoSecretFormat>\n"
                                  "  iv=<string>\n"
                                  "  keyid=<string>\n";
    if (!strcmp(text, "help") || !strcmp(text, "?"))
        *answer = types;
    else if (!strcmp(text, "secret,help") || !strcmp(text, "secret,?"))
        *answer = options;
    else
        return false;
    return true;
}
