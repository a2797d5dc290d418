/* An AVR's firmware in avr8js, its USART 0 on a TCP socket.
 *
 *     node te_avr8js.js MODULES FIRMWARE.elf PART HZ
 *
 * What arrives is handed over at the rate that the firmware has set, as far as the AVR's receiver takes it.
 * avr8js knows the ATmega328P; of the ATmega2560 the registers used here are the same, and
 * the interrupts have other numbers (data sheet DS40002211, table 14-1).
 * SPDX-License-Identifier: Apache-2.0 */
"use strict";

const { Line, emulator, fail, load, program, run } = require("./te_machine.js");

const EM_AVR = 83;
const SLEEP = 0x9588;
const SMCR = 0x53;
const SMCR_SE = 1;
const REGISTERS = 0x100; /* that avr8js adds to RAM */

const PARTS = {
    atmega328p: { flash: 0x8000, ram_end: 0x900, timers: [{}, {}], usart: {} },
    atmega2560: {
        flash: 0x40000,
        ram_end: 0x2200,
        timers: [
            { compAInterrupt: 0x2a, compBInterrupt: 0x2c, ovfInterrupt: 0x2e },
            {
                captureInterrupt: 0x20,
                compAInterrupt: 0x22,
                compBInterrupt: 0x24,
                compCInterrupt: 0x26,
                ovfInterrupt: 0x28,
            },
        ],
        usart: { rxCompleteInterrupt: 0x32, dataRegisterEmptyInterrupt: 0x34, txCompleteInterrupt: 0x36 },
    },
};

const parts = program(EM_AVR, "an AVR");
const part = PARTS[process.argv[4]] || fail("avr8js does not know the part");
const hz = Number(process.argv[5]);
const avr8js = emulator("avr8js");

const flash = new Uint8Array(part.flash);
load(parts, flash, 0);
const cpu = new avr8js.CPU(new Uint16Array(flash.buffer), part.ram_end - REGISTERS);
const timers = [avr8js.timer0Config, avr8js.timer1Config].map(
    (config, i) => new avr8js.AVRTimer(cpu, { ...config, ...part.timers[i] })
);

/* avr8js looks at a timer at each of its ticks, which are cycles of the core where nothing divides them.
 * The firmware has interrupts of overflows only, so it is enough to look then. */
const addEvent = cpu.addClockEvent.bind(cpu);
cpu.addClockEvent = (callback, cycles) => {
    const timer = timers.find((each) => each.count === callback);
    const ticks = timer && cycles > 0 ? timer.TOP - timer.tcnt : 0;
    return addEvent(callback, cycles + Math.max(ticks, 0) * (timer ? timer.divider : 0));
};
const usart = new avr8js.AVRUSART(cpu, { ...avr8js.usart0Config, ...part.usart }, hz);
const line = new Line();
const { UCSRB, UDR } = avr8js.usart0Config;
let full = false; /* the receiver holds a byte */

/* avr8js forgets a byte that was received when an interrupt of the transmitter is switched. */
const setControl = cpu.writeHooks[UCSRB];
cpu.writeHooks[UCSRB] = (...write) => {
    const done = setControl(...write);
    if (full) {
        cpu.setInterruptFlag(usart.RXC);
    }
    return done;
};
const readData = cpu.readHooks[UDR];
cpu.readHooks[UDR] = (address) => {
    full = false;
    return readData(address);
};
usart.onRxComplete = () => {
    full = true;
};
usart.onByteTransmit = (byte) => line.sent.push(byte);

/* The core sleeps until an interrupt: events come at once, and its cycles pass. */
function sleep() {
    const from = cpu.cycles;
    while (cpu.nextInterrupt < 0 && cpu.nextClockEvent) {
        cpu.cycles = Math.max(cpu.cycles, cpu.nextClockEvent.cycles);
        cpu.tick();
    }
    return (cpu.cycles - from) / hz;
}

function step() {
    if (line.waiting && usart.rxEnable && !usart.rxBusy && !full) {
        usart.writeByte(line.next());
    }
    const asleep = cpu.progMem[cpu.pc] === SLEEP && cpu.data[SMCR] & SMCR_SE;
    avr8js.avrInstruction(cpu);
    const seconds = asleep ? sleep() : 0;
    cpu.tick();
    return seconds;
}

run({ step }, line);
