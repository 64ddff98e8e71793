"""What every contestant does: read the number of environments and the seconds, and print its speed as a JSON line."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

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
