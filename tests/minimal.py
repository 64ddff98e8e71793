"""The smallest system under test: it is built, and it updates."""

import time

LAYERS = ("amp", "compile")


class Minimal:
    def __init__(self, layers):  # type: ignore[no-untyped-def]
        self.update_s = 0.002 if "amp" in layers else 0.008

    def update(self):  # type: ignore[no-untyped-def]
        time.sleep(self.update_s)


def build(spec, work, layers, seed):  # type: ignore[no-untyped-def]
    return Minimal(layers)
