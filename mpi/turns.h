/*
 * Whose turn it is: workers that may be offered a unit, those first that hold fewest, among those
 * who hold as many the one that has waited longest. A worker that has refused is set aside and is
 * not looked at until all are recalled. Every step takes the same time however many there are.
 */
#ifndef MPI_TURNS_H
#define MPI_TURNS_H

#include <stdbool.h>

#include "base/err.h"

/* Part of what the caller keeps of a worker; zeroed: in no queue. */
struct turn {
    struct turn *next;
    struct turn *prev;
    unsigned held;
};

struct turns {
    struct turn *ready; /* the heads of one ring for each number of units held */
    struct turn *aside; /* the same */
    unsigned depth;
};

/* A worker in a queue holds less than `depth`. */
int turns_init(struct turns *t, unsigned depth, struct err *e);
void turns_release(struct turns *t);

/* It holds so many units now: it is the last of these. */
void turns_add(struct turns *t, struct turn *w, unsigned held);
/* Out of any queue. */
void turns_remove(struct turn *w);

/* NULL: all others are set aside. */
struct turn *turns_first(const struct turns *t);

/* It has refused. */
void turns_set_aside(struct turns *t, struct turn *w);
void turns_set_all_aside(struct turns *t);
/* All that are aside come before those that hold as many. */
void turns_recall(struct turns *t);

#endif
