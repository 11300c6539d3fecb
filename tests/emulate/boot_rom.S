// The emulated machine's ROM, instead of a BIOS and a boot loader: it reads the
// segments that the disk's first sector lists (boot_layout.h) to their physical
// addresses and enters the uncompressed Linux kernel among them by the 64-bit
// boot protocol: long mode, memory mapped to itself, %rsi = boot_params.
//
// It is 64 KiB at 0xffff0000, seen also at 0xf0000, and runs from the latter.
#include "boot_layout.h"

#define ROM_BASE 0xf0000
#define ROM_BYTES 0x10000
#define RESET_VECTOR 0xfff0

// The selectors that Linux's boot protocol asks for, and one for 32 bits
#define CODE_32 0x08
#define CODE_64 0x10
#define DATA 0x18

#define CR0_PROTECTION 0x1
#define CR0_PAGING 0x80000000
#define CR0_CACHES_ON 0x9fffffff // mask that clears CD and NW
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LONG_MODE 0x100
#define PAGE_TABLE 0x3 // present, writable
#define PAGE_2_MIB 0x83 // present, writable, large

#define PIC_1_MASK 0x21
#define PIC_2_MASK 0xa1
#define DISK_DATA 0x1f0
#define DISK_COUNT 0x1f2 // then three bytes of the sector's number
#define DISK_STATUS 0x1f7
#define DISK_CONTROL 0x3f6
#define DISK_NO_INTERRUPTS 0x2
#define DISK_LBA_MASTER 0xe0
#define DISK_READ 0x20
#define DISK_BUSY 0x80
#define DISK_DATA_READY 0x08

        .code16
        .section .text
start:
        cli
        cld
        ljmp    $(ROM_BASE >> 4), $1f
1:      mov     %cs, %ax
        mov     %ax, %ds
        lgdtl   descriptor_table_pointer
        mov     %cr0, %eax
        or      $CR0_PROTECTION, %al
        and     $CR0_CACHES_ON, %eax
        mov     %eax, %cr0
        ljmpl   $CODE_32, $(ROM_BASE + protected_mode)

        .balign 8
descriptor_table:
        .quad   0
        .quad   0x00cf9b000000ffff      // CODE_32
        .quad   0x00af9b000000ffff      // CODE_64
        .quad   0x00cf93000000ffff      // DATA
descriptor_table_pointer:
        .word   . - descriptor_table - 1
        .long   ROM_BASE + descriptor_table
no_interrupt_table:
        .word   0
        .long   0

        .code32
protected_mode:
        mov     $DATA, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $BOOT_SECTOR_ADDRESS, %esp
        mov     $0xff, %al
        outb    %al, $PIC_1_MASK
        outb    %al, $PIC_2_MASK
        mov     $DISK_CONTROL, %edx
        mov     $DISK_NO_INTERRUPTS, %al
        outb    %al, %dx

        mov     $BOOT_SECTOR_ADDRESS, %edi
        xor     %ebx, %ebx
        mov     $1, %ecx
        call    read_sectors
        cmpl    $BOOT_MAGIC, BOOT_SECTOR_ADDRESS + BOOT_OFFSET_MAGIC
        jne     give_up
        mov     $(BOOT_SECTOR_ADDRESS + BOOT_OFFSET_SEGMENTS), %esi
        mov     BOOT_SECTOR_ADDRESS + BOOT_OFFSET_COUNT, %ebp
1:      mov     (%esi), %edi
        mov     4(%esi), %ebx
        mov     8(%esi), %ecx
        call    read_sectors
        add     $BOOT_SEGMENT_BYTES, %esi
        dec     %ebp
        jnz     1b

        // 4 GiB by one PML4 page, one PDPT page and four pages of 2 MiB entries;
        // what is not written here is zero, as all memory at the start
        movl    $(BOOT_PAGE_TABLES + 0x1000 + PAGE_TABLE), BOOT_PAGE_TABLES
        mov     $(BOOT_PAGE_TABLES + 0x1000), %edi
        mov     $(BOOT_PAGE_TABLES + 0x2000 + PAGE_TABLE), %eax
        mov     $4, %ecx
1:      mov     %eax, (%edi)
        add     $8, %edi
        add     $0x1000, %eax
        loop    1b
        mov     $(BOOT_PAGE_TABLES + 0x2000), %edi
        mov     $PAGE_2_MIB, %eax
        mov     $2048, %ecx
1:      mov     %eax, (%edi)
        add     $8, %edi
        add     $0x200000, %eax
        loop    1b

        mov     %cr4, %eax
        or      $CR4_PAE, %eax
        mov     %eax, %cr4
        mov     $BOOT_PAGE_TABLES, %eax
        mov     %eax, %cr3
        mov     $MSR_EFER, %ecx
        rdmsr
        or      $EFER_LONG_MODE, %eax
        wrmsr
        mov     %cr0, %eax
        or      $CR0_PAGING, %eax
        mov     %eax, %cr0
        ljmp    $CODE_64, $(ROM_BASE + long_mode)

// A triple fault: Bochs ends at once, and avx512-run says so
give_up:
        lidt    %cs:(ROM_BASE + no_interrupt_table)
        ud2

// Reads %ecx sectors from sector %ebx on to %edi, at most 256 by one command
read_sectors:
        test    %ecx, %ecx
        jz      4f
        push    %ecx
        cmp     $256, %ecx
        jbe     1f
        mov     $256, %ecx
1:      mov     $DISK_STATUS, %edx
2:      inb     %dx, %al
        test    $DISK_BUSY, %al
        jnz     2b
        mov     $DISK_COUNT, %edx
        mov     %cl, %al                // 0 stands for 256
        outb    %al, %dx
        mov     %ebx, %eax
        inc     %edx
        outb    %al, %dx
        shr     $8, %eax
        inc     %edx
        outb    %al, %dx
        shr     $8, %eax
        inc     %edx
        outb    %al, %dx
        shr     $8, %eax
        or      $DISK_LBA_MASTER, %al
        inc     %edx
        outb    %al, %dx
        mov     $DISK_READ, %al
        inc     %edx
        outb    %al, %dx
        add     %ecx, %ebx
        push    %ecx
3:      push    %ecx
        call    wait_for_data
        mov     $DISK_DATA, %edx
        mov     $(BOOT_SECTOR_BYTES / 2), %ecx
        rep insw
        pop     %ecx
        loop    3b
        pop     %eax
        pop     %ecx
        sub     %eax, %ecx
        jmp     read_sectors
4:      ret

wait_for_data:
        mov     $DISK_STATUS, %edx
1:      inb     %dx, %al
        test    $DISK_BUSY, %al
        jnz     1b
        test    $DISK_DATA_READY, %al
        jz      1b
        ret

        .code64
long_mode:
        mov     $DATA, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     BOOT_SECTOR_ADDRESS + BOOT_OFFSET_PARAMETERS, %esi
        mov     BOOT_SECTOR_ADDRESS + BOOT_OFFSET_ENTRY, %eax
        jmp     *%rax

        .code16
        .org    RESET_VECTOR
        ljmp    $(ROM_BASE >> 4), $start
        .org    ROM_BYTES - 1
        .byte   0
