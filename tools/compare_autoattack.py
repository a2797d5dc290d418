#!/usr/bin/env python3
r"""Attacks a network with AutoAttack as its authors wrote it, beside tinyedge's own record.

    RUN=experiments/fashion_mnist/stq-fgsm
    python tools/torch_nodes.py $RUN/model.h5 -o nodes.npz --dataset fashion_mnist
    python tools/compare_autoattack.py nodes.npz --record $RUN/robust.json

The first runs in tinyedge's environment, the second where PyTorch and pyautoattack are, which
tinyedge does not need: ``pip install torch==2.13.0 pyautoattack==0.2.0``. The same weights and
grids become layers of PyTorch, whose logits are compared with Keras' first. Both attack the same
samples.
"""

from __future__ import annotations

import argparse
import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from pyautoattack import AutoAttack

sys.path.insert(0, str(Path(__file__).parent))

from torch_nodes import Network


def main() -> None:
    """Prints both accuracies under attack; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nodes", type=Path, help="by tools/torch_nodes.py --dataset")
    parser.add_argument("--record", type=Path, required=True, help="of tinyedge attack")
    parser.add_argument("--epsilon", type=Fraction, default=Fraction(8, 255))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=100)
    arguments = parser.parse_args()

    file = np.load(arguments.nodes)
    network = Network(arguments.nodes).eval().requires_grad_(False)
    x = torch.tensor(file["x"].transpose(0, 3, 1, 2))
    y = torch.tensor(file["y"].astype(np.int64))
    with torch.no_grad():
        logits = network(x).numpy()
    apart = np.abs(logits - file["logits"]).max(1)
    print(
        f"{(apart == 0).sum()} of {len(x)} samples with Keras' very logits, {apart.max()} at most"
    )
    clean = logits.argmax(1) == file["y"]

    record = json.loads(arguments.record.read_text())
    labels, told = (
        np.array([int(each) for each in text.split()][: len(x)])
        for text in (
            record["labels"],
            next(suite["verdicts"] for suite in record["suites"] if suite["name"] == "autoattack"),
        )
    )
    if not np.array_equal(labels, file["y"]):
        parser.error(f"{arguments.record}: its samples are others than those of {arguments.nodes}")
    ours = told == labels

    attack = AutoAttack(network, eps=float(arguments.epsilon), seed=arguments.seed)
    crafted = attack.run_standard_evaluation(x, y, batch_size=arguments.batch)
    crafted = crafted[0] if isinstance(crafted, tuple) else crafted
    with torch.no_grad():
        theirs = (network(crafted).argmax(1) == y).numpy()
    changes = (crafted - x).abs().flatten(1).max(1).values.numpy()
    beyond = changes > float(arguments.epsilon) + 1e-6
    print(f"largest change {changes.max():.6f}; {beyond.sum()} samples beyond epsilon, left out")
    theirs |= beyond & clean
    print(
        f"{len(x)} samples: clean {clean.mean():.1%}; tinyedge's AutoAttack leaves "
        f"{ours.mean():.1%}, pyautoattack {theirs.mean():.1%}; "
        f"{(ours & ~theirs).sum()} only by ours, {(theirs & ~ours).sum()} only by pyautoattack"
    )


if __name__ == "__main__":
    main()
