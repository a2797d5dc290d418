/* Clock tree, counter and serial port of a Renesas RA4M1 (hardware manual R01UH0887). */
#include "board.h"
#include "te_cortex_m.h"
#include "te_platform.h"
#include "te_receive.h"
#include "te_systick.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define REGISTER16(address) (*(volatile uint16_t *)(uintptr_t)(address))
#define REGISTER8(address) (*(volatile uint8_t *)(uintptr_t)(address))

#define FCACHEE REGISTER16(0x4001c100u)
#define FCACHEIV REGISTER16(0x4001c104u)

#define SCKDIVCR REGISTER(0x4001e020u)
#define SCKDIVCR_ALL_1 0u
/* Flash and PCLKB at half the clock, as 32 MHz is the most for them; bits 18 to 16 have to be PCLKB's. */
#define SCKDIVCR_FLASH_AND_B_2 ((1u << 28) | (1u << 16) | (1u << 8))
#define SCKSCR REGISTER8(0x4001e026u)
#define SCKSCR_HOCO 0u
#define SCKSCR_MOCO 1u
#define MEMWAIT REGISTER8(0x4001e031u)
#define HOCOCR REGISTER8(0x4001e036u)
#define HOCOCR_RUN 0u
#define MOCOCR REGISTER8(0x4001e038u)
#define MOCOCR_RUN 0u
#define OSCSF REGISTER8(0x4001e03cu)
#define OSCSF_HOCOSF 1u
#define OPCCR REGISTER8(0x4001e0a0u)
#define OPCCR_HIGH_SPEED 0u
#define OPCCR_OPCMTSF (1u << 4)
#define PRCR REGISTER16(0x4001e3feu)
#define PRCR_UNLOCK 0xa503u /* clocks and power */
#define PRCR_LOCK 0xa500u

#define ICU_IELSR(number) REGISTER(0x40006300u + 4u * (number))

#define PFS(port, pin) REGISTER(0x40040800u + 0x40u * (port) + 4u * (pin))
#define PFS_PCR (1u << 4) /* pull-up */
#define PFS_PMR (1u << 16)
#define PFS_PSEL(function) ((function) << 24)
#define PWPR REGISTER8(0x40040d03u)
#define PWPR_PFSWE (1u << 6)
#define PWPR_B0WI (1u << 7)

#define MSTPCRB REGISTER(0x40047000u)

#define SCI_SMR REGISTER8(BOARD_UART_BASE + 0x00u)
#define SCI_SMR_8N1 0u /* asynchronous, clocked by PCLKA undivided */
#define SCI_BRR REGISTER8(BOARD_UART_BASE + 0x01u)
#define SCI_SCR REGISTER8(BOARD_UART_BASE + 0x02u)
#define SCI_SCR_ENABLE ((1u << 4) | (1u << 5) | (1u << 6)) /* receiver, transmitter, its interrupts */
#define SCI_TDR REGISTER8(BOARD_UART_BASE + 0x03u)
#define SCI_SSR REGISTER8(BOARD_UART_BASE + 0x04u)
#define SCI_SSR_ERRORS ((1u << 3) | (1u << 4) | (1u << 5)) /* parity, framing, overrun */
#define SCI_SSR_RDRF (1u << 6)
#define SCI_SSR_TDRE (1u << 7)
#define SCI_RDR REGISTER8(BOARD_UART_BASE + 0x05u)
#define SCI_SCMR REGISTER8(BOARD_UART_BASE + 0x06u)
#define SCI_SCMR_UART 0xf2u /* as after a reset: lowest bit first, nothing inverted, no smart card */
#define SCI_SEMR REGISTER8(BOARD_UART_BASE + 0x07u)
#define SCI_SEMR_BGDM_ABCS ((1u << 6) | (1u << 4))
#define SCI_BIT_CLOCKS 8u /* with both of these, times BRR + 1 */

/* The middle-speed oscillator, which runs from reset on. */
#define MOCO_HZ 8000000u
/* Polls of a ready flag before a clock is given up, some tens of milliseconds. */
#define READY_POLLS 100000u

static uint32_t sysclk_hz;

static int wait_for(uint32_t address, uint8_t flags, uint8_t value)
{
    for (uint32_t i = 0; i < READY_POLLS; i++) {
        if ((REGISTER8(address) & flags) == value) {
            return 1;
        }
    }
    return 0;
}

/* The high-speed oscillator, undivided. Where it does not start (and in emulators, which have no clock
 * tree) the middle-speed one stays. */
static uint32_t clock_init(void)
{
    FCACHEE = 0;
    PRCR = PRCR_UNLOCK;
    MOCOCR = MOCOCR_RUN; /* the boot loader's clock is left while others are set */
    SCKSCR = SCKSCR_MOCO;
    SCKDIVCR = SCKDIVCR_ALL_1;
    HOCOCR = HOCOCR_RUN;
    OPCCR = OPCCR_HIGH_SPEED;
    const int ready = wait_for(0x4001e03cu, OSCSF_HOCOSF, OSCSF_HOCOSF) &&
                      wait_for(0x4001e0a0u, OPCCR_OPCMTSF, 0);
    if (ready) {
        MEMWAIT = 1; /* flash needs it above 32 MHz */
        SCKDIVCR = SCKDIVCR_FLASH_AND_B_2;
        SCKSCR = SCKSCR_HOCO;
        (void)SCKSCR; /* the write has arrived when it can be read back */
    }
    MSTPCRB &= ~(1u << BOARD_UART_STOP_BIT);
    PRCR = PRCR_LOCK;
    FCACHEIV = 1;
    for (uint32_t i = 0; i < READY_POLLS && FCACHEIV; i++) {
    }
    FCACHEE = 1;
    return ready ? BOARD_SYSCLK_HZ : MOCO_HZ;
}

static void pin_init(uint32_t port, uint32_t pin, uint32_t pull_up)
{
    PFS(port, pin) = pull_up; /* the function is chosen while the pin does not have it */
    PFS(port, pin) = pull_up | PFS_PSEL(BOARD_UART_PIN_FUNCTION);
    PFS(port, pin) = pull_up | PFS_PSEL(BOARD_UART_PIN_FUNCTION) | PFS_PMR;
}

static void uart_init(void)
{
    const uint32_t bit = SCI_BIT_CLOCKS * BOARD_UART_BAUD;
    SCI_SCR = 0;
    SCI_SMR = SCI_SMR_8N1;
    SCI_SCMR = SCI_SCMR_UART;
    SCI_SEMR = SCI_SEMR_BGDM_ABCS;
    SCI_BRR = (uint8_t)((sysclk_hz + bit / 2u) / bit - 1u);
    (void)SCI_SSR; /* flags are cleared after they have been read */
    SCI_SSR = (uint8_t)~SCI_SSR_ERRORS;

    PWPR = 0;
    PWPR = PWPR_PFSWE;
    pin_init(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN, 0);
    pin_init(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN, PFS_PCR);
    PWPR = 0;
    PWPR = PWPR_B0WI;

    ICU_IELSR(BOARD_UART_IRQ) = BOARD_UART_EVENT;
    ICU_IELSR(BOARD_UART_ERROR_IRQ) = BOARD_UART_ERROR_EVENT;
    te_enable_interrupt(BOARD_UART_IRQ);
    te_enable_interrupt(BOARD_UART_ERROR_IRQ);
    SCI_SCR = SCI_SCR_ENABLE;
}

void te_platform_init(void)
{
    sysclk_hz = clock_init();
    uart_init();
    te_systick_start();
}

/* A byte with an error raises the other interrupt, and so does an overrun, after which nothing is
 * received until its flag is cleared. */
void te_uart_receive(void)
{
    /* Clears both interrupts, before the byte is read: the next one raises them again. */
    ICU_IELSR(BOARD_UART_IRQ) = BOARD_UART_EVENT;
    ICU_IELSR(BOARD_UART_ERROR_IRQ) = BOARD_UART_ERROR_EVENT;
    const uint8_t status = SCI_SSR;
    if (status & SCI_SSR_RDRF) {
        te_receive_put(SCI_RDR);
    }
    if (status & SCI_SSR_ERRORS) {
        SCI_SSR = (uint8_t)~SCI_SSR_ERRORS;
    }
}

void te_platform_write(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while (!(SCI_SSR & SCI_SSR_TDRE)) {
        }
        SCI_TDR = bytes[i];
    }
}

uint64_t te_platform_ticks(void)
{
    return te_systick_ticks();
}

uint32_t te_platform_tick_hz(void)
{
    return sysclk_hz;
}
