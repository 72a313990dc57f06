/* Clusters of zeros become data, for version 2, which has no other way to hide a backing image. */
#ifndef FORMATS_QCOW2_EXPAND_H
#define FORMATS_QCOW2_EXPAND_H

#include "formats/amend.h"
#include "formats/qcow2/switch.h"

struct qcow2_expand {
    struct qcow2_switch *s;
    bool hides; /* below the image there is another, so that zeros must be stored */
    const struct amend_request *request; /* for progress */
    uint64_t done, all;                  /* L1 entries */

    void *moved;    /* shared tables and their copies: a search tree */
    uint8_t *was;   /* a table as it was */
    uint8_t *zeros; /* a cluster */
};

int qcow2_expand_init(struct qcow2_expand *x, struct qcow2_switch *s, bool hides,
                      const struct amend_request *request, struct err *e);
void qcow2_expand_release(struct qcow2_expand *x);

/* All tables of an L1 table; `size`: of the disk that it shows. Those with zeros get a copy, of
 * which l1 then says the place; *changed: there was one. */
int qcow2_expand_l1(struct qcow2_expand *x, uint64_t *l1, uint64_t n, uint64_t size, bool *changed,
                    struct err *e);

/* Does any table of an L1 table refer to a compressed cluster? */
int qcow2_expand_finds_packed(struct qcow2_switch *s, const uint64_t *l1, uint64_t n, bool *found,
                              struct err *e);

#endif
