#include "cli/words.h"

#include <stddef.h>
#include <string.h>

#define CACHE_MODES "none writeback writethrough directsync unsafe"

const struct word word_all[] = {
    {"filename",
     "is an image: the name of a file or device, 'file:NAME', a URL that a protocol takes, or "
     "'json:{...}' with all options of the image",
     WORD_FILE, NULL},
    {"output_filename", "is the image to be written", WORD_FILE, NULL},
    {"objectdef",
     "defines an object, most often a secret: 'secret,id=NAME,file=FILE' or "
     "'secret,id=NAME,data=TEXT'",
     WORD_ANY, NULL},
    {"fmt", "is the format of an image; it is found out if it is not given", WORD_FORMAT, NULL},
    {"output_fmt", "is the format of the new image", WORD_FORMAT, NULL},
    {"backing_fmt", "is the format of the backing image", WORD_FORMAT, NULL},
    {"backing_file", "is the image that holds what the new image does not", WORD_FILE, NULL},
    {"cache",
     "is how the output is written: 'writeback', 'none' (past the page cache), 'writethrough', "
     "'directsync', or 'unsafe' (not synced at the end)",
     WORD_CHOICE, CACHE_MODES},
    {"src_cache", "is how images are read; the same words as for cache", WORD_CHOICE, CACHE_MODES},
    {"ofmt", "is the form of the report: 'human' or 'json'", WORD_CHOICE, "human json"},
    {"size",
     "is a number of bytes; a suffix multiplies it: k or K (1024), M (1024k), G, T, P, E; "
     "fractions such as 1.5G are taken",
     WORD_ANY, NULL},
    {"options",
     "is a list of name=value with commas between; a comma in a value is written twice; 'help' "
     "lists what the format takes",
     WORD_ANY, NULL},
    {"snapshot_param",
     "names an internal snapshot: '[ID_OR_NAME]' or 'snapshot.id=[ID],snapshot.name=[NAME]'",
     WORD_ANY, NULL},
    {"manifest", "is a file that names the images of a fleet; '-' is standard input", WORD_FILE,
     NULL},
    {"folder", NULL, WORD_FILE, NULL},
    {"file", NULL, WORD_FILE, NULL},
    {"leaks|all", NULL, WORD_CHOICE, "leaks all"},
    {"engine", NULL, WORD_CHOICE, "serial threads mpi"},
    {0},
};

const struct word *word_find(const char *name)
{
    for (const struct word *w = word_all; w->name; w++)
        if (name && strcmp(w->name, name) == 0)
            return w;
    return NULL;
}
