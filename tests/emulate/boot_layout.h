// The first sector of the run's disk, written by make_disk.c and read by
// boot_rom.S, which includes this file for the plain numbers.
#ifndef BOOT_LAYOUT_H
#define BOOT_LAYOUT_H

#define BOOT_MAGIC            0x4c434f46 // "FOCL"
#define BOOT_SECTOR_BYTES     512
#define BOOT_MAXIMUM_SEGMENTS 41 // what fits into one sector

#define BOOT_OFFSET_MAGIC      0
#define BOOT_OFFSET_COUNT      4
#define BOOT_OFFSET_ENTRY      8
#define BOOT_OFFSET_PARAMETERS 12
#define BOOT_OFFSET_SEGMENTS   16
#define BOOT_SEGMENT_BYTES     12

// Low memory, all of it below the 0x9f000 that the guest's memory map offers:
// the ROM's stack grows down from BOOT_SECTOR_ADDRESS.
#define BOOT_SECTOR_ADDRESS     0x7000
#define BOOT_PAGE_TABLES        0x70000
#define BOOT_PARAMETERS_ADDRESS 0x90000
#define BOOT_COMMAND_LINE       0x91000

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct boot_segment {
    uint32_t address, first_sector, sectors;
};

struct boot_sector {
    uint32_t magic, segment_count, entry, parameters;
    struct boot_segment segments[BOOT_MAXIMUM_SEGMENTS];
};

_Static_assert(sizeof(struct boot_sector) <= BOOT_SECTOR_BYTES, "one sector");
_Static_assert(sizeof(struct boot_segment) == BOOT_SEGMENT_BYTES, "the ROM's stride");
_Static_assert(offsetof(struct boot_sector, magic) == BOOT_OFFSET_MAGIC &&
                   offsetof(struct boot_sector, segment_count) == BOOT_OFFSET_COUNT &&
                   offsetof(struct boot_sector, entry) == BOOT_OFFSET_ENTRY &&
                   offsetof(struct boot_sector, parameters) == BOOT_OFFSET_PARAMETERS &&
                   offsetof(struct boot_sector, segments) == BOOT_OFFSET_SEGMENTS,
               "the ROM's offsets");
#endif

#endif
