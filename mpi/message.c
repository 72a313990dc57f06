#include "mpi/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* errno, length of the text, length of the hint; then text and hint without their ends */
#define ERROR_HEAD 12

int keep_copy(struct keep *k, const void *bytes, size_t len)
{
    k->len = 0;
    if (len > k->room) {
        void *data = realloc(k->data, len);
        if (!data)
            return -1;
        k->data = data;
        k->room = len;
    }
    if (len)
        memcpy(k->data, bytes, len);
    k->len = len;
    return 0;
}

void keep_release(struct keep *k)
{
    free(k->data);
    *k = (struct keep){0};
}

void error_pack(struct keep *k, const struct err *e)
{
    size_t text = strnlen(e->text, sizeof e->text - 1);
    size_t hint = strnlen(e->hint, sizeof e->hint - 1);
    size_t len = ERROR_HEAD + text + hint;
    unsigned char bytes[ERROR_HEAD + sizeof e->text + sizeof e->hint];
    le32_store(bytes, (uint32_t)e->no);
    le32_store(bytes + 4, (uint32_t)text);
    le32_store(bytes + 8, (uint32_t)hint);
    memcpy(bytes + ERROR_HEAD, e->text, text);
    memcpy(bytes + ERROR_HEAD + text, e->hint, hint);
    keep_copy(k, bytes, len);
}

void error_unpack(struct err *e, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    err_nomem(e);
    if (len < ERROR_HEAD)
        return;
    size_t text = le32_load(p + 4);
    size_t hint = le32_load(p + 8);
    if (text >= sizeof e->text || hint >= sizeof e->hint || len != ERROR_HEAD + text + hint)
        return;
    e->no = (int)le32_load(p);
    memcpy(e->text, p + ERROR_HEAD, text);
    e->text[text] = '\0';
    memcpy(e->hint, p + ERROR_HEAD + text, hint);
    e->hint[hint] = '\0';
}
