/* The second stage of an RP2040's boot: the first 256 bytes of flash, which the boot ROM copies to RAM,
 * checks by the CRC-32 in the last four, and calls. It sets up the SSI so that flash can be read as
 * memory, by the command 03h that every flash chip has, and starts the firmware behind it
 * (RP2040 data sheet, sections 2.8 and 4.10). */

__asm__(".section .boot, \"ax\", %progbits\n"
        ".syntax unified\n"
        ".thumb\n"
        ".type te_second_stage, %function\n"
        "te_second_stage:\n"
        "    ldr r0, .Lssi\n"
        "    movs r1, #0\n"
        "    str r1, [r0, #0x08]\n" /* SSIENR: it is set while it is off */
        "    movs r2, #4\n"
        "    str r2, [r0, #0x14]\n" /* BAUDR: a fourth of the core's clock, at most 33 MHz */
        "    ldr r2, .Lctrlr0\n"
        "    str r2, [r0, #0x00]\n"
        "    str r1, [r0, #0x04]\n" /* CTRLR1: one frame of data a read */
        "    ldr r2, .Lspi_ctrlr0\n"
        "    movs r3, #0xf4\n"
        "    str r2, [r0, r3]\n" /* SPI_CTRLR0 */
        "    movs r1, #1\n"
        "    str r1, [r0, #0x08]\n"
        "    ldr r0, .Lvectors_at\n" /* the vectors, as the core itself takes them at a reset */
        "    ldr r1, .Lvtor\n"
        "    str r0, [r1]\n"
        "    ldr r1, [r0]\n"
        "    msr msp, r1\n"
        "    ldr r0, [r0, #4]\n"
        "    bx r0\n"
        "    .hword 0\n"
        ".Lssi: .word 0x18000000\n"
        /* Frames of 32 bits, one line, TMOD = 3: sends command and address, then receives. */
        ".Lctrlr0: .word (31 << 16) | (3 << 8)\n"
        /* XIP_CMD; a command of 8 bits, an address of 24, given in units of 4. */
        ".Lspi_ctrlr0: .word (0x03 << 24) | (2 << 8) | (6 << 2)\n"
        ".Lvectors_at: .word 0x10000100\n"
        ".Lvtor: .word 0xe000ed08\n"
        "    .space 252 - 64, 0\n"
        "    .word 0x6fdfe34a\n" /* CRC-32, polynomial 04c11db7, not reflected, of what is before */
        ".size te_second_stage, . - te_second_stage\n"
        ".text\n");

/* C wants a declaration in every file. */
void Reset_Handler(void);
