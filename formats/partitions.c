/*
 * The master boot record of a raw disk, also the one in front of a GPT. That it is sound shows that
 * the file is a disk and nothing else in disguise.
 */
#include <errno.h>

#include "base/bytes.h"
#include "formats/safety.h"

#define MBR_SIGNATURE_AT 510
#define MBR_ENTRIES_AT   446
#define MBR_ENTRIES      4
#define MBR_ENTRY        16
#define MBR_ACTIVE       0x80
#define MBR_GPT          0xee /* type of the entry that protects a GPT */

#define FAT_COUNT_AT 0x10
#define FAT_MEDIA_AT 0x15
#define FAT_FIXED    0xf8

bool partitions_are_there(const struct safety_subject *s)
{
    bool fat = s->head[FAT_COUNT_AT] == 2 && s->head[FAT_MEDIA_AT] == FAT_FIXED;
    return !fat && s->head[MBR_SIGNATURE_AT] == 0x55 && s->head[MBR_SIGNATURE_AT + 1] == 0xaa;
}

/* "UEFI specification", protective MBR: it begins at CHS 0/0/2 and LBA 1. */
static int gpt_entry_check(const uint8_t *entry, struct err *e)
{
    if (entry[1] != 0 || entry[2] != 2 || entry[3] != 0)
        return err_set(e, EINVAL, "the partition that protects a GPT begins at an invalid CHS");
    if (le32_load(entry + 8) != 1)
        return err_set(e, EINVAL, "the partition that protects a GPT begins at an invalid LBA");
    return 0;
}

static int partitions_check(const struct safety_subject *s, struct err *e)
{
    unsigned used = 0; /* a bit an entry */
    bool gpt = false;
    bool iso;
    if (!partitions_are_there(s))
        return 0;
    /* what boots from CDs and from sticks has entries of all sorts */
    if (safety_is_iso(s, &iso, e) || iso)
        return iso ? 0 : -1;
    for (unsigned i = 0; i < MBR_ENTRIES; i++) {
        const uint8_t *entry = s->head + MBR_ENTRIES_AT + i * MBR_ENTRY;
        if (entry[0] != 0 && entry[0] != MBR_ACTIVE)
            return err_set(e, EINVAL, "partition %u has an invalid boot flag", i + 1);
        used |= (entry[4] != 0) << i;
        gpt |= entry[4] == MBR_GPT;
        if (entry[4] == MBR_GPT && gpt_entry_check(entry, e))
            return -1;
    }
    if (gpt && used != 1)
        return err_set(e, EINVAL, "there are partitions beside the one that protects a GPT");
    return used ? 0 : err_set(e, EINVAL, "the partition table is empty");
}

const struct safety_check partitions_safety[] = {
    {.name = "raw.partition-table",
     .help = "A partition table (MBR, or the one before a GPT) is sound: boot flags of 00 or 80, "
             "at least one partition, beside that of a GPT no other",
     .file = partitions_check},
    {0},
};
