#!/usr/bin/env python3
"""Trains and attacks the networks of ``experiments/``; what is done already is not done again.

    python tools/run_experiments.py                           # everything
    python tools/run_experiments.py cifar10/float cifar10/stq # float first: others transfer from it
    python tools/run_experiments.py --cluster local:4         # workers train and attack

Every ``experiments/DATASET/NAME.toml`` becomes a run in ``experiments/DATASET/NAME``: ``model.h5``,
``run.json``, and ``attacks.json``, what ``tinyedge attack --json`` printed; of those trained
adversarially ``robust.json`` too, AutoAttack on a thousand samples; of those in ``LARGE``
``fgsm-0.3.json``. Every float network is also quantized without training, with and without new
statistics of batch normalization. A run that was interrupted goes on where it was; one that begins
with another, or has it as its teacher, waits for that. ``tools/write_results.py`` makes
``docs/results.md`` of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

from tinyedge.cli.output import Output
from tinyedge.commands.clusters import cluster_address, opened_cluster
from tinyedge.files import write_atomically
from tinyedge.training.config import read_config

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ROOT / "experiments"
SAMPLES = 100
ROBUST_SAMPLES = 1000
ROBUST_ATTACKS = ("autoattack",)
LARGE_EPSILON = 0.3
"""Under which the paper's networks were told apart by FGSM; so are these."""
LARGE = ("cifar10/float", "cifar10/stq", "cifar10/post-training")
SEED = 0
ATTACKS = ("fgsm", "pgd", "cw", "square", "boundary", "zoo", "autoattack", "noise")
TRANSFERRED = ("transfer-fgsm", "transfer-pgd")
CONTROLS = {"post-training": "--recalibrate", "post-training-raw": "--no-recalibrate"}
"""Runs made of each float network by ``tinyedge quantize --precision stq``."""


def tinyedge(*arguments: object) -> str:
    """Runs a command from the project's folder; gives what it printed."""
    command = [sys.executable, "-P", "-m", "tinyedge", *map(str, arguments)]
    print("$", *command[1:], file=sys.stderr, flush=True)
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def attack(
    folder: Path, name: str, *options: object, samples: int = SAMPLES, cluster: str | None = None
) -> None:
    """Attacks a run, unless that is done."""
    target = folder / name
    if target.is_file():
        return
    suites = folder / "suites.npz"
    common = ("--samples", samples, "--seed", SEED, "-o", suites, "--json")
    on = ("--cluster", cluster) if cluster else ()
    found = json.loads(tinyedge("attack", folder.relative_to(ROOT), *common, *options, *on))
    found.pop("cluster", None)  # who has computed is none of the result
    suites.unlink()
    write_atomically(target, json.dumps(found, indent=1) + "\n")


def needed(name: str) -> list[str]:
    """The experiments that a run's configuration names: what it begins with, and its teacher."""
    path = EXPERIMENTS / f"{name}.toml"
    if not path.is_file():
        return []  # quantized from the float network beside it
    config = tomllib.loads(path.read_text(encoding="utf-8"))
    named = [
        config["training"].get("initial"),
        config.get("distillation", {}).get("teacher"),
    ]
    return [str((ROOT / each).relative_to(EXPERIMENTS)) for each in named if each]


def in_order(names: list[str]) -> list[str]:
    """Each experiment once, behind those that it needs."""
    ordered: dict[str, None] = {}
    for name in names:
        ordered |= dict.fromkeys([*in_order(needed(name)), name])
    return list(ordered)


def train_on(cluster: str, names: list[str]) -> None:
    """Trains what is missing on workers, at the same time what needs no other of it.

    Args:
        cluster: whose workers train.
        names: of experiments, each behind those that it needs.
    """
    waiting = [
        name
        for name in names
        if (EXPERIMENTS / f"{name}.toml").is_file()
        and not (EXPERIMENTS / name / "run.json").is_file()
    ]
    address = cluster_address(cluster, None, {})
    if not waiting or not address:
        return
    # Configurations name other runs by paths from the project's folder.
    with contextlib.chdir(ROOT), opened_cluster(address, None, Output()) as engine:
        from tinyedge.cluster.training import train_on_cluster

        while waiting:
            ready = [name for name in waiting if not set(needed(name)) & set(waiting)]
            runs = [
                (read_config(EXPERIMENTS / f"{name}.toml"), EXPERIMENTS / name) for name in ready
            ]
            for name, failure in zip(ready, train_on_cluster(engine, runs), strict=True):
                if failure:
                    raise SystemExit(f"{name}: {failure}")
            waiting = [name for name in waiting if name not in ready]


def run(name: str, cluster: str | None) -> None:
    """Trains, or quantizes, and attacks one network, on a cluster if one is named."""
    folder = EXPERIMENTS / name
    relative, surrogate = folder.relative_to(ROOT), folder.with_name("float")
    if not (folder / "run.json").is_file():
        if folder.name in CONTROLS:
            option = CONTROLS[folder.name]
            tinyedge("quantize", surrogate, "--precision", "stq", option, "-o", relative)
        else:
            tinyedge("train", f"{relative}.toml", "-o", relative, "--resume")
    config = json.loads((folder / "run.json").read_text())["config"]
    transferred = config["data"]["channels"] == "grey" and folder != surrogate
    attacked = partial(attack, cluster=cluster)
    attacked(
        folder,
        "attacks.json",
        "--attacks",
        ",".join((*ATTACKS, *(TRANSFERRED if transferred else ()))),
        *(("--surrogate", surrogate.relative_to(ROOT)) if transferred else ()),
    )
    options: tuple[object, ...]
    if config.get("adversarial"):
        options = ("--attacks", ",".join(ROBUST_ATTACKS))
        attacked(folder, "robust.json", *options, samples=ROBUST_SAMPLES)
    if name in LARGE:
        options = ("--attacks", "fgsm", "--epsilon", LARGE_EPSILON)
        attacked(folder, "fgsm-0.3.json", *options, samples=ROBUST_SAMPLES)
    if config["model"]["temperature"] != 1:
        # As an attacker sees it who takes the softmax at temperature 1 for what was trained.
        options = ("--attacks", "fgsm,pgd", "--temperature", 1)
        attacked(folder, "attacks-untempered.json", *options)


def main() -> None:
    """Runs what is named, or everything; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="DATASET/NAME")
    parser.add_argument("--cluster", metavar="ADDRESS", help="whose workers train and attack")
    given = parser.parse_args()
    names = given.names
    if not names:
        found = sorted(
            str(path.relative_to(EXPERIMENTS).with_suffix(""))
            for path in EXPERIMENTS.glob("*/*.toml")
        )
        floats = [name for name in found if name.endswith("/float")]
        controls = [name.replace("/float", f"/{each}") for name in floats for each in CONTROLS]
        names = list(dict.fromkeys([*floats, *found, *controls]))
    ordered = in_order(names)
    if given.cluster:
        train_on(given.cluster, ordered)
    for name in ordered:
        run(name, given.cluster)


if __name__ == "__main__":
    main()
