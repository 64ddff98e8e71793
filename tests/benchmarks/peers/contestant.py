"""What every contestant does: read the number of environments and the seconds, and print its speed as a JSON line.

It is imported before torch, whose threads then wait without spinning: as in the trials of m2bench.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable

from m2bench.machine.cpu import PASSIVE_WAITING
from m2bench.machine.identity import fast_cores
from m2bench.run.threads import threads_to_try

os.environ.update({name: os.environ.get(name, value) for name, value in PASSIVE_WAITING.items()})

WARM_UP = 2  # calls: the first compiles, where anything does


def asked(about: str | None) -> argparse.Namespace:
    """``num_envs``, ``seconds``, and ``layers`` as a list."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--num-envs", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--layers", type=lambda text: [name for name in text.split(",") if name], default=[])
    return parser.parse_args()


def timed(run: Callable[[], float], seconds: float, **told: object) -> None:
    """Print the speed of calls for so many seconds, after WARM_UP; each says how many episodes it has trained."""
    for _ in range(WARM_UP):
        run()
    episodes, begin = 0.0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        episodes += run()
    print(json.dumps({"episodes_per_min": 60 * episodes / (time.perf_counter() - begin), **told}))


def fastest_threads(run: Callable[[], object], set_threads: Callable[[int], None]) -> int:
    """Set the number of threads with which a call takes the least time, after one that does not count."""
    run()

    def seconds(threads: int) -> float:
        set_threads(threads)
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    best = min(threads_to_try(fast_cores()), key=seconds)
    set_threads(best)
    return best
