/*
 * Building report trees. An object or a list under construction is NULL once memory ran out: what
 * is added then is let go, so that only the end needs a look.
 */
#ifndef BASE_TREE_H
#define BASE_TREE_H

#include <jansson.h>

/* Add a member; takes v. */
static inline json_t *tree_set(json_t *o, const char *key, json_t *v)
{
    if (o && json_object_set_new(o, key, v) == 0)
        return o;
    if (!o)
        json_decref(v);
    json_decref(o);
    return NULL;
}

/* Add an element; takes v. */
static inline json_t *tree_append(json_t *list, json_t *v)
{
    if (list && json_array_append_new(list, v) == 0)
        return list;
    if (!list)
        json_decref(v);
    json_decref(list);
    return NULL;
}

#endif
