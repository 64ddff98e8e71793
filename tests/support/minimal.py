"""The smallest system under test: it is built, and it updates."""

import time

LAYERS = ("short",)


class Minimal:
    def __init__(self, layers):  # type: ignore[no-untyped-def]
        self.update_s = 0.004 if "short" in layers else 0.016

    def update(self):  # type: ignore[no-untyped-def]
        time.sleep(self.update_s)


def build(spec, work, layers, seed):  # type: ignore[no-untyped-def]
    return Minimal(layers)  # type: ignore[no-untyped-call]
