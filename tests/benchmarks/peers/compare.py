"""The trading system beside its peers: plain PyTorch, JAX and Stable-Baselines3, by turns in processes of their own.

    pip install -c constraints.txt -e ".[peers]"
    python tests/benchmarks/peers/compare.py --fastest batching,compile,vectorized-loss

Every round runs each contestant at each number of environments once, in random order. A contestant is judged at the
number at which it is the fastest; ratios are taken within rounds, with 95 % t intervals over these.
All have the environment of m2bench's workers.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from m2bench.machine.cpu import STEADY
from m2bench.options.known_systems import SYSTEMS, known_system
from m2bench.statistics.estimate import figure_of, mean_ratio
from m2bench.text.figures import times_within

FOLDER = Path(__file__).parent
TIMEOUT_S = 300
PLAIN, RECOMMENDED, FASTEST, JAX, A2C = (
    "plain PyTorch",
    "recommended set",
    "fastest set",
    "JAX",
    "Stable-Baselines3 A2C",
)
COMPARED = tuple((ours, peer) for peer in (PLAIN, JAX, A2C) for ours in (RECOMMENDED, FASTEST))


@dataclass(frozen=True)
class Contestant:
    """One program of this folder at its numbers of environments."""

    name: str
    program: str
    sizes: tuple[int, ...]
    layers: str = ""

    def run(self, size: int, seconds: float) -> float:
        """Its episodes/min. RuntimeError where it does not tell."""
        words = [sys.executable, str(FOLDER / self.program), f"--num-envs={size}", f"--seconds={seconds}"]
        words += [f"--layers={self.layers}"] if self.layers else []
        environment = {**STEADY, **os.environ}
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment)
        if done.returncode:
            raise RuntimeError(f"{self.name} with {environments(size)} failed: {done.stderr[-500:]}")
        speed: float = json.loads(done.stdout.splitlines()[-1])["episodes_per_min"]
        return speed


def environments(size: int) -> str:
    return f"{size} environment{'' if size == 1 else 's'}"


Logs = Mapping[tuple[str, int], Sequence[float]]
"""Logarithms of speeds, round by round, by contestant and number of environments."""


def measure(contestants: Sequence[Contestant], rounds: int, seconds: float) -> Logs:
    """All rounds; each run is printed as it ends."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for number in range(rounds):
        turns = [(contestant, size) for contestant in contestants for size in contestant.sizes]
        for contestant, size in random.Random(number).sample(turns, len(turns)):
            speed = contestant.run(size, seconds)
            found[contestant.name, size].append(math.log(speed))
            print(f"round {number + 1}: {contestant.name}, {environments(size)}: {speed:,.0f} episodes/min", flush=True)
    return found


def best_sizes(logs: Logs) -> dict[str, int]:
    """By contestant, the number of environments at which it is the fastest."""
    slowest_first = sorted(logs, key=lambda key: fmean(logs[key]))
    return dict(slowest_first)  # of several sizes the last is kept


def sentences(logs: Logs) -> list[str]:
    """The level of every contestant at its best number, and the ratios."""
    best, said = best_sizes(logs), []
    for name, size in best.items():
        said.append(f"{name}: {math.exp(fmean(logs[name, size])):,.0f} episodes/min with {environments(size)}")
    for one, other in COMPARED:
        if one in best and other in best:
            pairs = zip(logs[one, best[one]], logs[other, best[other]], strict=True)
            ratio = mean_ratio([a - b for a, b in pairs])
            said.append(f"{one} / {other}: {times_within(figure_of(ratio))}, each at its best")
    return said


def sizes(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def main() -> None:
    recommended = ",".join(known_system(SYSTEMS[0]).layers.recommended)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recommended", default=recommended, help="layers of the recommended set")
    parser.add_argument("--fastest", default="", help="layers of the fastest set, where it is another one")
    parser.add_argument("--num-envs", type=sizes, default=(32, 256, 512), help="of all but the plain trainer and A2C")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run, after its warm-up")
    words = parser.parse_args()
    contestants = [
        Contestant(PLAIN, "trading.py", (1,)),
        Contestant(RECOMMENDED, "trading.py", words.num_envs, words.recommended),
        Contestant(JAX, "jax_reinforce.py", words.num_envs),
        Contestant(A2C, "sb3_a2c.py", (32,)),
    ]
    if words.fastest:
        contestants.append(Contestant(FASTEST, "trading.py", words.num_envs, words.fastest))
    for sentence in sentences(measure(contestants, words.rounds, words.seconds)):
        print(sentence)


if __name__ == "__main__":
    main()
