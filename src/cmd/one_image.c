#include "cmd/one_image.h"

#include "cmd/command.h"
#include "cmd/object.h"

int one_image_begin(struct command_run *r, const struct text_list *objects,
                    struct secrets **secrets, const char **name)
{
    struct err e = ERR_INIT;
    enum object_outcome outcome = object_load(r->engine, objects, secrets, &e);
    if (outcome == OBJECT_HELPED)
        return 0;
    if (outcome == OBJECT_BAD)
        return command_fail(&e);
    if (r->operands.n != 1)
        return command_misused("Expecting one image file name");
    *name = r->operands.text[0];
    return -1;
}
