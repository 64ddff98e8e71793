"""A system one of whose layers needs another, and two of which exclude each other."""

import time

from m2bench.records.rules import Rules

LAYERS = ("base", "more", "left", "right")
GAINS = {"base": 2.0, "more": 1.5, "left": 0.8, "right": 1.25}


class Ruled:
    def __init__(self, layers):  # type: ignore[no-untyped-def]
        self.update_s = 0.016
        for layer in layers:
            self.update_s /= GAINS[layer]

    def update(self):  # type: ignore[no-untyped-def]
        time.sleep(self.update_s)


def rules(spec):  # type: ignore[no-untyped-def]
    return Rules(needs=(("more", "base"),), excludes=(("left", "right"),))


def build(spec, work, layers, seed):  # type: ignore[no-untyped-def]
    if ("more" in layers and "base" not in layers) or {"left", "right"} <= {*layers}:
        raise RuntimeError(f"{layers} cannot be")
    return Ruled(layers)  # type: ignore[no-untyped-call]
