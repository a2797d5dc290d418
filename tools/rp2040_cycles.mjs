// Runs one inference of an RP2040's image, unchanged, in rp2040js, and prints what it took.
//
//   node rp2040_cycles.mjs REQUEST.json
//
// REQUEST: module (the folder of the package rp2040js), image (a file), origin, vectors, main, invoke
// (addresses), input and output (addresses), input_bytes (in hexadecimal), output_size. Start-up
// code runs up to main; then the inference is called as main would call it.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const request = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { RP2040 } = createRequire(import.meta.url)(request.module);
const chip = new RP2040();
chip.logger = { debug() {}, info() {}, warn() {}, error(_, text) { console.error(text); } };
chip.flash.set(readFileSync(request.image), request.origin - 0x10000000);

const core = chip.core;
core.VTOR = request.vectors;
core.SP = chip.readUint32(request.vectors);
core.PC = chip.readUint32(request.vectors + 4) & ~1;

function runTo(address, limit) {
  for (let steps = 0; core.PC !== address; steps++) {
    if (steps === limit) throw new Error(`0x${address.toString(16)} is not reached`);
    core.executeInstruction();
  }
}

runTo(request.main, 1e7);
Buffer.from(request.input_bytes, 'hex').forEach((byte, at) => {
  chip.writeUint8(request.input + at, byte);
});
core.LR = request.main | 1;
core.PC = request.invoke;
const before = core.cycles;
core.executeInstruction();
runTo(request.main, 1e9);
const output = [];
for (let at = 0; at < request.output_size; at++) output.push(chip.readUint8(request.output + at));
console.log(JSON.stringify({ cycles: core.cycles - before, output: Buffer.from(output).toString('hex') }));
