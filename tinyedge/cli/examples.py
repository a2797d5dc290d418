"""The text that ``--help`` shows below the options: an example or two, and the next step."""

from __future__ import annotations

from typing import NamedTuple


class Example(NamedTuple):
    """Examples of one command.

    Attributes:
        lines: command lines, as they are typed.
        after: what commonly comes next, as a command line or a sentence.
    """

    lines: tuple[str, ...]
    after: str

    @property
    def epilog(self) -> str:
        """As click takes it, in paragraphs that are not wrapped."""
        lines = "".join(f"\n  {line}" for line in self.lines)
        title = "Example:" if len(self.lines) == 1 else "Examples:"
        return f"\b\n{title}{lines}\n\n\b\nNext:\n  {self.after}"


EXAMPLES = {
    "arena": Example(
        ("tinyedge arena model_int8.tflite",), "tinyedge convert model_int8.tflite -o out"
    ),
    "attack": Example(
        (
            "tinyedge attack model.h5 --attacks fgsm,pgd --data samples.npz -o suites.npz",
            "tinyedge attack model.h5 --epsilon 2/255,4/255,8/255 --data samples.npz -o pgd.npz",
            "tinyedge attack out --on twin --attacks apgd --samples 10 -o integer.npz",
            "tinyedge attack out --on emulator --attacks square --samples 10 -o square.npz",
        ),
        "tinyedge run out --on emulator --data suites.npz",
    ),
    "boards": Example(
        ("tinyedge boards list", "tinyedge boards show netduinoplus2", "tinyedge boards fit out"),
        "tinyedge build out -b netduinoplus2",
    ),
    "build": Example(
        ("tinyedge build out -b netduinoplus2",), "tinyedge run out --on emulator --data FILE"
    ),
    "bundle": Example(
        ("tinyedge bundle out --data suites.npz --run run.json -o bundle.zip",),
        "tinyedge verify bundle.zip, on another machine",
    ),
    "check": Example(
        ("tinyedge check model_int8.tflite --with tflite-micro --layers",),
        "tinyedge convert model_int8.tflite -o out",
    ),
    "completion": Example(
        (
            'eval "$(tinyedge completion bash)"',
            "tinyedge completion fish > ~/.config/fish/completions/tinyedge.fish",
        ),
        "put it into the shell's start-up file",
    ),
    "convert": Example(
        (
            "tinyedge convert model.h5 -o out --calibration samples.npz",
            "tinyedge convert model_int8.tflite -o out --core cortex-m0 --optimize size",
        ),
        "tinyedge build out -b netduinoplus2",
    ),
    "demo": Example(("tinyedge demo",), "tinyedge convert MODEL -o out, with a model of your own"),
    "devices": Example(("tinyedge devices",), "tinyedge flash out -b BOARD -p PORT"),
    "doctor": Example(
        ("tinyedge doctor", "tinyedge doctor --udev-rules > 60-tinyedge.rules"), "tinyedge demo"
    ),
    "emulate": Example(
        ("tinyedge emulate out -b netduinoplus2 --link /tmp/board",),
        "tinyedge run out --on board -p /tmp/board --data FILE, in another terminal",
    ),
    "export": Example(
        (
            "tinyedge export out -b nucleo-f446re --format cmake -o firmware",
            "tinyedge export out --format arduino -o library --zip",
        ),
        "README.md in the folder",
    ),
    "flash": Example(
        ("tinyedge flash out -b netduinoplus2", "tinyedge flash out -b netduinoplus2 --dry-run"),
        "tinyedge run out --on board -p PORT --data FILE",
    ),
    "footprint": Example(
        (
            "tinyedge footprint out -b netduinoplus2 -o before.json",
            "tinyedge footprint out -b netduinoplus2 --compare before.json --max-regression 2%",
        ),
        "tinyedge convert --optimize size, where flash is short",
    ),
    "gate": Example(
        ("tinyedge gate gate.toml", "tinyedge gate gate.toml --junit report.xml"),
        "docs/report.md, for the keys of gate.toml",
    ),
    "monitor": Example(
        ("tinyedge monitor -p /dev/ttyACM0", "tinyedge monitor -p /dev/ttyACM0 --frames"),
        "tinyedge run out --on board -p /dev/ttyACM0 --data FILE",
    ),
    "quantize": Example(
        (
            "tinyedge quantize float.keras --calibration samples.npz --data test.npz -o out",
            "tinyedge quantize runs/float --precision stq -o control",
        ),
        "tinyedge run out --on emulator --data test.npz",
    ),
    "report": Example(
        (
            "tinyedge report run.json -o report",
            "tinyedge report run.json --min-accuracy clean=90% --junit report.xml",
            "tinyedge report --compare before.json out/netduinoplus2-gcc -o report",
        ),
        "report.html, in a browser",
    ),
    "resources": Example(
        ("tinyedge resources fpga",), "tinyedge check MODEL --with hls4ml --project fpga"
    ),
    "run": Example(
        (
            "tinyedge run out --on emulator --data suites.npz",
            "tinyedge run out --on board -p /dev/ttyACM0 --data suites.npz -o run.json",
            "tinyedge run out --on emulator --profile --trace",
            "tinyedge run out --on twin --data x.npy --logits y.npy",
        ),
        "tinyedge report run.json -o report",
    ),
    "selftest": Example(
        (
            "tinyedge selftest -b nucleo-f446re -p /dev/ttyACM0 -o selftest.md",
            "tinyedge selftest -b nucleo-f446re --on emulator",
            "tinyedge selftest --bench bench.toml -o bench.md",
        ),
        "tinyedge flash out -b BOARD",
    ),
    "sweep": Example(
        (
            "tinyedge sweep sweep.toml -o sweep",
            "tinyedge sweep sweep.toml -o sweep --html all.html",
        ),
        "docs/cluster.md, for the keys of sweep.toml",
    ),
    "train": Example(
        ("tinyedge train run.toml -o run", "tinyedge train run.toml -o run --resume"),
        "tinyedge convert run/model.h5 -o out --calibration run/calibration.npz",
    ),
    "verify": Example(
        ("tinyedge verify bundle.zip", "tinyedge verify bundle.zip --on twin --samples 100"),
        "tinyedge report RUN.json, of a record in the bundle",
    ),
}
