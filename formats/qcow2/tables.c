#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/state.h"

uint64_t qcow2_file_limit(const struct qcow2 *q)
{
    return num_up(file_size(q->file), q->cluster_size);
}

int qcow2_words_padded(const struct qcow2 *q, uint64_t offset, uint64_t n, uint64_t **out,
                       struct err *e)
{
    AUTO_FREE uint64_t *words = mem_io(n * 8, e);
    if (!words)
        return -1;
    if (offset >= file_size(q->file)) /* also where no file can reach */
        memset(words, 0, n * 8);
    else if (file_read_padded(q->file, words, n * 8, offset, NULL, e))
        return -1;
    for (uint64_t i = 0; i < n; i++)
        words[i] = be64_load(&words[i]);
    *out = MEM_TAKE(words);
    return 0;
}

int qcow2_words_read(const struct qcow2 *q, uint64_t offset, uint64_t n, uint64_t **out,
                     struct err *e)
{
    uint64_t bytes;
    if (!num_mul(n, 8, &bytes) || !num_inside(offset, bytes, qcow2_file_limit(q)))
        return err_set(e, EIO,
                       "Table at offset 0x%" PRIx64 " reaches beyond the end of the image file",
                       offset);
    return qcow2_words_padded(q, offset, n, out, e);
}
