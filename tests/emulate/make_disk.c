// make_disk OUTPUT VMLINUX BZIMAGE INITRAMFS MEBIBYTES COMMAND_LINE
// Writes the disk that boot_rom.S reads: the segments of the uncompressed
// kernel, the archive at the end of memory, and the boot_params of the kernel's
// 64-bit boot protocol, whose setup header comes out of the bzImage.
#define _GNU_SOURCE
#include "boot_layout.h"
#include "guest_protocol.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES          4096u
#define MEBIBYTE            (1u << 20)
#define SMALLEST_MEBIBYTES  128
#define LARGEST_MEBIBYTES   2048            // Bochs's
#define ROOM_FOR_KERNEL     (16 * MEBIBYTE) // its own data while it unpacks
#define CYLINDER_BYTES      (16 * 63 * BOOT_SECTOR_BYTES)
#define ZERO_PAGES_TO_SKIP  128
#define SETUP_HEADER_OFFSET 0x1f1
#define LONGEST_LINE        2047
#define LOADER_UNDEFINED    0xff
#define KERNEL_RESERVED     0x9f000 // from here to 1 MiB: video memory, ROM

struct mapping {
    uint8_t *data;
    size_t bytes;
};

static FILE *disk;
static const char *disk_path;
static struct boot_sector boot = {
    .magic = BOOT_MAGIC,
    .parameters = BOOT_PARAMETERS_ADDRESS,
};

// Private, so that the kernel can be altered without a copy of it
static struct mapping map_file(const char *path) {
    struct stat status;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0)
        err(STATUS_FAILED, "%s", path);
    struct mapping mapping = {.bytes = (size_t)status.st_size};
    mapping.data = mmap(NULL, mapping.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    if (mapping.data == MAP_FAILED)
        err(STATUS_FAILED, "%s", path);
    close(file);
    return mapping;
}

static void write_sectors(const void *data, size_t bytes) {
    static const uint8_t zeros[BOOT_SECTOR_BYTES];
    const size_t padding = -bytes % BOOT_SECTOR_BYTES;
    if (fwrite(data, 1, bytes, disk) != bytes || fwrite(zeros, 1, padding, disk) != padding)
        err(STATUS_FAILED, "%s", disk_path);
}

static void add_segment(uint32_t address, const void *data, size_t bytes) {
    static uint32_t next_sector = 1;
    if (boot.segment_count == BOOT_MAXIMUM_SEGMENTS)
        errx(STATUS_FAILED, "the kernel falls into too many segments");
    const uint32_t sectors = (uint32_t)((bytes + BOOT_SECTOR_BYTES - 1) / BOOT_SECTOR_BYTES);
    boot.segments[boot.segment_count++] = (struct boot_segment){
        .address = address,
        .first_sector = next_sector,
        .sectors = sectors,
    };
    next_sector += sectors;
    write_sectors(data, bytes);
}

// Memory is zero at the start, so long runs of zero pages are left out
static void add_sparse_segment(uint32_t address, const uint8_t *data, size_t bytes) {
    static const uint8_t zeros[PAGE_BYTES];
    size_t begin = 0, end = 0; // of the segment under way, without its last zeros
    for (size_t at = 0; at < bytes; at += PAGE_BYTES) {
        const size_t length = bytes - at < PAGE_BYTES ? bytes - at : PAGE_BYTES;
        if (memcmp(data + at, zeros, length) == 0)
            continue;
        if (at - end >= ZERO_PAGES_TO_SKIP * PAGE_BYTES) {
            if (end > begin)
                add_segment(address + (uint32_t)begin, data + begin, end - begin);
            begin = at;
        }
        end = at + length;
    }
    if (end > begin)
        add_segment(address + (uint32_t)begin, data + begin, end - begin);
}

// Parsing its own type information costs the kernel a fifth of the boot; with
// zeros there it goes without
static void erase_type_information(struct mapping kernel, const Elf64_Ehdr *header) {
    const Elf64_Shdr *sections = (const void *)(kernel.data + header->e_shoff);
    if (header->e_shoff == 0)
        return;
    const char *names = (const char *)kernel.data + sections[header->e_shstrndx].sh_offset;
    for (unsigned i = 0; i < header->e_shnum; i++)
        if (strcmp(names + sections[i].sh_name, ".BTF") == 0)
            memset(kernel.data + sections[i].sh_offset, 0, sections[i].sh_size);
}

// Returns the end of the kernel's memory
static uint32_t add_kernel(const char *path) {
    const struct mapping kernel = map_file(path);
    const Elf64_Ehdr *header = (const void *)kernel.data;
    if (kernel.bytes < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_machine != EM_X86_64)
        errx(STATUS_FAILED, "%s: no x86-64 kernel", path);
    const Elf64_Phdr *segments = (const void *)(kernel.data + header->e_phoff);
    uint32_t end = 0;
    erase_type_information(kernel, header);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *segment = &segments[i];
        if (segment->p_type != PT_LOAD)
            continue;
        add_sparse_segment((uint32_t)segment->p_paddr, kernel.data + segment->p_offset,
                           segment->p_filesz);
        const uint32_t segment_end = (uint32_t)(segment->p_paddr + segment->p_memsz);
        end = segment_end > end ? segment_end : end;
    }
    boot.entry = (uint32_t)header->e_entry;
    return end;
}

static void add_parameters(const char *bzimage_path, const char *command_line,
                           uint32_t archive_address, size_t archive_bytes, uint32_t memory) {
    static struct {
        struct boot_params parameters;
        char command_line[LONGEST_LINE + 1];
    } low;
    _Static_assert(BOOT_PARAMETERS_ADDRESS + sizeof low.parameters == BOOT_COMMAND_LINE,
                   "the command line follows the parameters");
    const struct mapping bzimage = map_file(bzimage_path);
    struct setup_header *header = &low.parameters.hdr;
    if (bzimage.bytes < sizeof low.parameters ||
        memcmp(bzimage.data + SETUP_HEADER_OFFSET + offsetof(struct setup_header, header),
               "HdrS", 4) != 0)
        errx(STATUS_FAILED, "%s: not a bzImage", bzimage_path);
    memcpy(header, bzimage.data + SETUP_HEADER_OFFSET, sizeof *header);
    header->type_of_loader = LOADER_UNDEFINED;
    header->loadflags |= LOADED_HIGH;
    header->ramdisk_image = archive_address;
    header->ramdisk_size = (uint32_t)archive_bytes;
    header->cmd_line_ptr = BOOT_COMMAND_LINE;
    if (strlen(command_line) > LONGEST_LINE)
        errx(STATUS_FAILED, "the kernel's command line is too long");
    strcpy(low.command_line, command_line);

    const struct boot_e820_entry memory_map[] = {
        {0, KERNEL_RESERVED, 1}, // 1: usable, 2: reserved
        {KERNEL_RESERVED, MEBIBYTE - KERNEL_RESERVED, 2},
        {MEBIBYTE, memory - MEBIBYTE, 1},
    };
    low.parameters.e820_entries = sizeof memory_map / sizeof *memory_map;
    memcpy(low.parameters.e820_table, memory_map, sizeof memory_map);
    add_segment(BOOT_PARAMETERS_ADDRESS, &low, sizeof low);
}

int main(int argc, char **argv) {
    if (argc != 7)
        errx(STATUS_FAILED, "usage: make_disk OUTPUT VMLINUX BZIMAGE INITRAMFS MEBIBYTES "
                            "COMMAND_LINE");
    char *rest;
    const long mebibytes = strtol(argv[5], &rest, 10);
    if (*rest != '\0' || mebibytes < SMALLEST_MEBIBYTES || mebibytes > LARGEST_MEBIBYTES)
        errx(STATUS_FAILED, "guest memory of %s MiB: not within %d to %d", argv[5],
             SMALLEST_MEBIBYTES, LARGEST_MEBIBYTES);
    const uint32_t memory = (uint32_t)mebibytes * MEBIBYTE;
    disk_path = argv[1];
    disk = fopen(disk_path, "wb");
    if (disk == NULL)
        err(STATUS_FAILED, "%s", disk_path);

    write_sectors(&boot, sizeof boot); // its place; written again below
    const uint32_t kernel_end = add_kernel(argv[2]);
    const struct mapping archive = map_file(argv[4]);
    // the archive is unpacked beside itself
    if (kernel_end + ROOM_FOR_KERNEL + 2 * (uint64_t)archive.bytes > memory)
        errx(STATUS_FAILED, "files of %zu MiB need a larger guest memory (-m)",
             archive.bytes / MEBIBYTE);
    const uint32_t archive_address =
        (memory - (uint32_t)archive.bytes) / PAGE_BYTES * PAGE_BYTES;
    add_segment(archive_address, archive.data, archive.bytes);
    add_parameters(argv[3], argv[6], archive_address, archive.bytes, memory);

    // Bochs wants whole cylinders
    const long written = ftell(disk);
    if (written < 0)
        err(STATUS_FAILED, "%s", disk_path);
    const size_t cylinders = ((size_t)written + CYLINDER_BYTES - 1) / CYLINDER_BYTES;
    if (fseek(disk, 0, SEEK_SET) != 0)
        err(STATUS_FAILED, "%s", disk_path);
    write_sectors(&boot, sizeof boot);
    if (fflush(disk) != 0 ||
        ftruncate(fileno(disk), (off_t)(cylinders * CYLINDER_BYTES)) != 0 || fclose(disk) != 0)
        err(STATUS_FAILED, "%s", disk_path);
    return 0;
}
