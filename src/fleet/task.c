#include "fleet/task.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define HEAD offsetof(struct task, record)

int task_pack(struct task_bytes *to, const struct task *t, struct err *e)
{
    size_t len = HEAD + t->n_record + t->n_plan;
    if (len > to->room) {
        unsigned char *grown = mem_grow(to->data, len, 1, e);
        if (!grown)
            return -1;
        to->data = grown;
        to->room = len;
    }
    memcpy(to->data, t, HEAD);
    if (t->n_record)
        memcpy(to->data + HEAD, t->record, t->n_record);
    if (t->n_plan)
        memcpy(to->data + HEAD + t->n_record, t->plan, t->n_plan);
    to->len = len;
    return 0;
}

void task_bytes_release(struct task_bytes *b)
{
    if (b->data)
        explicit_bzero(b->data, b->room); /* plans are secrets */
    free(b->data);
}

int task_unpack(struct task *t, const struct blob *from, struct err *e)
{
    *t = (struct task){0};
    if (from->len >= HEAD)
        memcpy(t, from->data, HEAD);
    if (from->len < HEAD || from->len - HEAD != (size_t)t->n_record + t->n_plan ||
        t->kind >= TASK_KINDS || t->stage > STAGE_DONE)
        return err_set(e, EPROTO, "A task of %zu bytes", from->len);
    t->record = (const char *)from->data + HEAD;
    t->plan = (const unsigned char *)from->data + HEAD + t->n_record;
    return 0;
}
