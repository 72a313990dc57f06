#include "formats/crypt/names.h"

#include <string.h>

#include "base/num.h"

static const struct crypt_cipher_name ciphers[] = {
    {"aes-128", "aes", 16, CRYPT_AES},
    {"aes-192", "aes", 24, CRYPT_AES},
    {"aes-256", "aes", 32, CRYPT_AES},
    {"cast5-128", "cast5", 16, CRYPT_CAST5},
    {"serpent-128", "serpent", 16, CRYPT_SERPENT},
    {"serpent-192", "serpent", 24, CRYPT_SERPENT},
    {"serpent-256", "serpent", 32, CRYPT_SERPENT},
    {"twofish-128", "twofish", 16, CRYPT_TWOFISH},
    {"twofish-192", "twofish", 24, CRYPT_TWOFISH},
    {"twofish-256", "twofish", 32, CRYPT_TWOFISH},
};

static const char *const titles[] = {
    [CRYPT_AES] = "AES",
    [CRYPT_SERPENT] = "Serpent",
    [CRYPT_TWOFISH] = "Twofish",
    [CRYPT_CAST5] = "CAST5",
};
static const char *const modes[] = {
    [CRYPT_ECB] = "ecb",
    [CRYPT_CBC] = "cbc",
    [CRYPT_XTS] = "xts",
    [CRYPT_CTR] = "ctr",
};
static const char *const ivgens[] = {
    [CRYPT_PLAIN] = "plain",
    [CRYPT_PLAIN64] = "plain64",
    [CRYPT_ESSIV] = "essiv",
};
static const char *const hashes[] = {
    [CRYPT_SHA1] = "sha1",     [CRYPT_SHA224] = "sha224", [CRYPT_SHA256] = "sha256",
    [CRYPT_SHA384] = "sha384", [CRYPT_SHA512] = "sha512", [CRYPT_RIPEMD160] = "ripemd160",
    [CRYPT_MD5] = "md5",
};

const struct crypt_cipher_name *crypt_cipher_by_option(const char *option)
{
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
        if (!strcmp(ciphers[i].option, option))
            return &ciphers[i];
    return NULL;
}

const struct crypt_cipher_name *crypt_cipher_by_header(const char *header, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
        if (!strcmp(ciphers[i].header, header) && ciphers[i].key_len == len)
            return &ciphers[i];
    return NULL;
}

const struct crypt_cipher_name *crypt_cipher_by_key(enum crypt_cipher cipher, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
        if (ciphers[i].cipher == cipher && ciphers[i].key_len == len)
            return &ciphers[i];
    return NULL;
}

const char *crypt_cipher_title(enum crypt_cipher cipher)
{
    return titles[cipher];
}

static int find(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], name))
            return (int)i;
    return -1;
}

int crypt_mode_find(const char *name, enum crypt_mode *out)
{
    int i = find(modes, ARRAY_LEN(modes), name);
    *out = (enum crypt_mode)(i < 0 ? 0 : i);
    return i < 0 ? -1 : 0;
}

int crypt_ivgen_find(const char *name, enum crypt_ivgen *out)
{
    int i = find(ivgens, ARRAY_LEN(ivgens), name);
    *out = (enum crypt_ivgen)(i < 0 ? 0 : i);
    return i < 0 ? -1 : 0;
}

int crypt_hash_find(const char *name, enum crypt_hash *out)
{
    int i = find(hashes, ARRAY_LEN(hashes), name);
    *out = (enum crypt_hash)(i < 0 ? 0 : i);
    return i < 0 ? -1 : 0;
}

const char *crypt_mode_name(enum crypt_mode mode)
{
    return modes[mode];
}

const char *crypt_ivgen_name(enum crypt_ivgen ivgen)
{
    return ivgens[ivgen];
}

const char *crypt_hash_name(enum crypt_hash hash)
{
    return hashes[hash];
}
