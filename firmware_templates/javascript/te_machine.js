/* What the emulators in JavaScript share: the program that they run, and the serial port, which is a TCP
 * socket of this machine.
 *
 *     node te_rp2040js.js MODULES FIRMWARE.elf ...
 *     node te_avr8js.js MODULES FIRMWARE.elf ...
 *
 * MODULES is the folder of the npm packages. Each prints the socket's port on stdout and serves one
 * connection after another until it is killed; while there is none, the firmware's time stands still.
 * SPDX-License-Identifier: Apache-2.0 */
"use strict";

const fs = require("fs");
const net = require("net");

/* Instructions between two looks at the socket. */
const SLICE = 20000;
/* Seconds of the firmware's sleep before this machine sleeps too: longer than a byte takes. */
const IDLE_S = 0.005;
const NAP_S = 0.001;
/* Bytes that wait for the firmware before the socket does. */
const MOST_WAITING = 65536;

const PT_LOAD = 1;

function fail(message) {
    process.stderr.write(`${message}\n`);
    process.exit(1);
}

/* An npm package of the folder MODULES. */
function emulator(name) {
    try {
        return require(require.resolve(name, { paths: [process.argv[2]] }));
    } catch (error) {
        return fail(`the npm package ${name} does not load: ${error.message.split("\n")[0]}`);
    }
}

/* The parts of FIRMWARE.elf that lie in flash, as [address, bytes]. */
function program(machine, name) {
    const file = fs.readFileSync(process.argv[3]);
    if (file.length < 52 || file.toString("latin1", 0, 4) !== "\x7fELF" || file.readUInt16LE(18) !== machine) {
        fail(`not ${name}'s ELF`);
    }
    const table = file.readUInt32LE(28);
    const size = file.readUInt16LE(42);
    const parts = [];
    for (let i = 0; i < file.readUInt16LE(44); i++) {
        const at = table + i * size;
        if (at + 20 > file.length) {
            fail("damaged ELF");
        }
        const [offset, count] = [file.readUInt32LE(at + 4), file.readUInt32LE(at + 16)];
        if (file.readUInt32LE(at) === PT_LOAD && count) {
            if (offset + count > file.length) {
                fail("damaged ELF");
            }
            parts.push([file.readUInt32LE(at + 12), file.subarray(offset, offset + count)]);
        }
    }
    return parts;
}

/* Copies the program to flash, which is mapped at an address. */
function load(parts, flash, origin) {
    for (const [address, bytes] of parts) {
        if (address < origin || address - origin + bytes.length > flash.length) {
            fail("the program is larger than the part's flash");
        }
        flash.set(bytes, address - origin);
    }
}

/* The line at the other end of the serial port. */
class Line {
    constructor() {
        this.sent = [];
        this.disconnect();
        this.wake = () => {};
    }

    disconnect() {
        this.socket = null;
        this.received = Buffer.alloc(0);
        this.at = 0;
    }

    listen() {
        const server = net.createServer({ noDelay: true }, (socket) => {
            if (this.socket) {
                socket.destroy();
                return;
            }
            this.socket = socket;
            socket.on("data", (data) => {
                this.received = Buffer.concat([this.received.subarray(this.at), data]);
                this.at = 0;
                if (this.received.length > MOST_WAITING) {
                    socket.pause();
                }
                this.wake();
            });
            socket.on("error", () => {});
            socket.on("close", () => this.disconnect());
            this.wake();
        });
        server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
    }

    get waiting() {
        return this.at < this.received.length;
    }

    next() {
        const byte = this.received[this.at++];
        if (!this.waiting && this.socket?.isPaused()) {
            this.socket.resume();
        }
        return byte;
    }

    flush() {
        if (this.socket && this.sent.length) {
            this.socket.write(Buffer.from(this.sent));
        }
        this.sent = [];
    }

    /* Until something happens on the line, or so many seconds have passed. */
    something(seconds) {
        return new Promise((resolve) => {
            const timer = seconds === undefined ? undefined : setTimeout(resolve, seconds * 1000);
            this.wake = () => {
                clearTimeout(timer);
                resolve();
            };
        });
    }
}

/* Runs a chip for ever. It has step(line), which runs an instruction or, where the core sleeps, passes the
 * time to the next event, and gives the seconds slept. */
async function run(chip, line) {
    let slept = 0;
    line.listen();
    for (;;) {
        while (!line.socket) {
            await line.something();
        }
        for (let i = 0; i < SLICE && slept < IDLE_S; i++) {
            const seconds = chip.step(line);
            slept = line.waiting ? 0 : slept + seconds;
        }
        line.flush();
        if (slept >= IDLE_S) {
            slept = IDLE_S - NAP_S;
            await line.something(NAP_S);
        } else {
            await new Promise(setImmediate);
        }
    }
}

module.exports = { Line, emulator, fail, load, program, run };
