/* An RP2040's firmware in rp2040js, a serial port of its on a TCP socket.
 *
 *     node te_rp2040js.js MODULES FIRMWARE.elf UART
 *
 * Starts as the boot ROM does: the first 256 bytes of flash are copied to RAM and called. What arrives is
 * handed over at the rate that the firmware has set, as far as the port's FIFO takes it.
 * SPDX-License-Identifier: Apache-2.0 */
"use strict";

const { Line, emulator, load, program, run } = require("./te_machine.js");

const EM_ARM = 40;
const SECOND_STAGE = 256;
const COPY = 0x41f00; /* in RAM */
const RAM = 0x20000000;
const BITS = 10; /* of a byte on the line */

const quiet = () => {};
const parts = program(EM_ARM, "an Arm");
const { RP2040 } = emulator("rp2040js");
const mcu = new RP2040();
const uart = mcu.uart[Number(process.argv[4])];
const line = new Line();
let next = 0; /* when the line is free for the next byte, in ns */

mcu.logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
load(parts, mcu.flash, 0x10000000);
mcu.sram.set(mcu.flash.subarray(0, SECOND_STAGE), COPY);
mcu.core.SP = RAM + COPY;
mcu.core.PC = RAM + COPY;
uart.onByte = (byte) => line.sent.push(byte);

function handOver() {
    if (mcu.clock.nanos >= next && uart.enabled && !uart.rxFIFO.full) {
        uart.feedByte(line.next());
        next = mcu.clock.nanos + (BITS * 1e9) / uart.baudRate;
    }
}

function step() {
    if (line.waiting) {
        handOver();
    }
    if (!mcu.core.waiting) {
        mcu.clock.tick((mcu.core.executeInstruction() * 1e9) / mcu.clkSys);
        return 0;
    }
    /* Until an alarm, or the next byte of the line. */
    const until = line.waiting ? next - mcu.clock.nanos : 1e5;
    const alarm = mcu.clock.nextAlarm ? mcu.clock.nanosToNextAlarm : until;
    const nanos = Math.max(Math.min(until, alarm), 1);
    mcu.clock.tick(nanos);
    if (mcu.core.waiting && mcu.core.checkForInterrupts()) {
        mcu.core.waiting = false;
    }
    return nanos * 1e-9;
}

run({ step }, line);
