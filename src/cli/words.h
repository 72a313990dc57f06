/* The words that stand for arguments in syntax lines. */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

enum word_kind {
    WORD_ANY,    /* nothing to propose */
    WORD_FILE,   /* a file name */
    WORD_FORMAT, /* a format */
    WORD_CHOICE  /* one of `choices` */
};

struct word {
    const char *name;
    const char *help; /* "is ..."; NULL = not explained in general */
    enum word_kind kind;
    const char *choices; /* with spaces between */
};

extern const struct word word_all[]; /* ends with name NULL */
const struct word *word_find(const char *name);

#endif
