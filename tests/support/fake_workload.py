"""A system under test whose times and learning curve are known, and which can fail on demand.

Chosen with ``--workload fake_workload``. ``--data`` says what goes wrong, as ``layer=what`` separated by
commas: ``amp=crash,compile=hang``; what is one of FAULTS.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

import m2bench
from m2bench.errors import UserError
from m2bench.optimizations import LAYERS
from m2bench.records.combinations import Layers
from m2bench.records.description import Described
from m2bench.records.documents import read
from m2bench.records.results import Counts, NumericsCheck, PeakMemory, Proof
from m2bench.records.spec import WorkloadSpec

# Seconds of an update, divided by the factor of each layer that is on.
UPDATE_S = 0.004
FACTORS = {
    "batching": 4.0,
    "amp": 0.8,
    "compile": 1.25,
    "vectorized-loss": 1.5,
    "dataloader": 1.0,
    "grad-accumulation": 1.0,
}
# Episodes of an update, times the factor of each layer that is on.
EPISODES = 2
EPISODE_FACTORS = {"batching": 8, "grad-accumulation": 2}
# The policy's return after so many updates is GOOD_RETURN * (1 - 2^(-updates / HALF_LIFE)).
GOOD_RETURN = 2.0
HALF_LIFE = 10.0
TARGET_RETURN = 1.0
FAULTS = ("crash", "hang", "kill", "print", "idle", "unsupported", "exit", "orphan", "diverge", "changed", "dull")


def describe(spec: WorkloadSpec, work: Path) -> Described:
    if spec.data == "bad":
        raise UserError("the data is bad, row 7.", "Correct it.")
    import torch  # which a worker has imported

    document = {
        "system": {"unit": {"one": "episode", "many": "episodes"}, "facts": {}, "no_target_because": None},
        "device": {
            "device": "cpu",
            "torch": version("torch"),
            "torch_threads": torch.get_num_threads(),
            "thread_waiting": "passive",
            "device_name": "fake",
            "fork_after_compiler_import": False,
        },
        "layers": [
            {
                "name": name,
                "part": name,
                "summary": f"fake {name}",
                "claim": {
                    "low": 1,
                    "high": 2,
                    "text": "1-2x",
                    "difficulty": "low",
                    "priority": "low",
                    "source": "test",
                    "phase": None,
                },
                "contract": {"tolerance": 1, "floor": 0},
                "exact": name != "amp",
                "compiles": False,
                "compiled_apart": False,
                "works_ahead": False,
                "unsupported": "not on this planet" if _faults(spec).get(name) == "unsupported" else None,
            }
            for name in LAYERS
        ],
        "workload": {
            "market": {"name": spec.data, "candles": 1, "sha256": "0"},
            "hyperparameters": {"episode_length": 2, "policy_size": "default"},
            "options": {"num_envs": 32, **spec.options},
            "good_return": GOOD_RETURN,
            "target": {
                "measure": "greedy",
                "good_policy": "the known good policy",
                "good_return": GOOD_RETURN,
                "ignorant_return": 0.0,
                "share": 0.5,
                "return": TARGET_RETURN,
            },
        },
    }
    return read(Described, document)


def prepare(spec: WorkloadSpec, work: Path) -> list[str]:
    (work / "prepared").touch()
    return ["gradient: weight is off by 2 of its size, where 0.0001 is allowed"] if spec.data == "wrong-device" else []


def _faults(spec: WorkloadSpec) -> dict[str, str]:
    pairs = (item.split("=") for item in spec.data.split(",") if "=" in item)
    return {layer: fault for layer, fault in pairs}  # noqa: C416 (a malformed pair must raise)


def build(spec: WorkloadSpec, work: Path, layers: Layers, seed: int) -> FakeSystem:
    faults = [_faults(spec)[layer] for layer in (*layers, "") if layer in _faults(spec)]  # "": every combination
    return FakeSystem(layers, faults)


class FakeSystem:
    steps_per_episode = 2
    compiles = False

    def __init__(self, layers: Layers, faults: list[str]):
        self.layers = layers
        self.faults = faults
        self.update_s = UPDATE_S
        self.episodes_per_update = EPISODES
        self.updates = 0
        for layer in layers:
            self.update_s /= FACTORS.get(layer, 1.0)  # a test may have layers of its own
            self.episodes_per_update *= EPISODE_FACTORS.get(layer, 1)
        print("a worker's print must not land among its results; its code is", m2bench.__path__)
        if "crash" in faults:
            raise RuntimeError("planted crash\nwith a second line")
        if "orphan" in faults and os.fork() == 0:
            time.sleep(3600)
        if "hang" in faults:
            time.sleep(3600)
        if "kill" in faults:
            os.kill(os.getpid(), signal.SIGKILL)
        if "exit" in faults:
            os._exit(7)
        if "print" in faults:
            sys.stdout.write('{"event": "result", "result": {}}\n' * 1000)

    def update(self) -> torch.Tensor:
        import torch  # here alone, since whoever only wants to know what is imported need not wait for it

        time.sleep(self.update_s)
        self.updates += 1
        return torch.zeros(())

    def check_finite(self) -> None:
        if "diverge" in self.faults:
            raise FloatingPointError("update 1: the gradient of weight is not finite")

    def check_numerics(self) -> dict[str, NumericsCheck]:
        changed = "changed" in self.faults
        reason = "weight is off by 0.5 of its size" if changed else None
        return {"gradient": NumericsCheck(not changed, {"worst": "weight"}, reason)}

    def check_stream(self) -> dict[str, NumericsCheck]:
        return {"stream": NumericsCheck(True)}

    def synchronize(self) -> None:
        pass

    def energy_j(self) -> float | None:
        return None

    def timed_window(self) -> AbstractContextManager[object]:
        return nullcontext()

    def waits_s(self) -> dict[str, float]:
        return {}

    def watch_phases(self, watch: Callable[[str], AbstractContextManager[object]]) -> AbstractContextManager[None]:
        self.phase = watch
        return nullcontext()

    def pieces(self) -> Iterator[tuple[Callable[[], object], int | None]]:
        def piece() -> None:
            with self.phase("sleep"):
                self.update()

        yield piece, self.episodes_per_update

    def count(self) -> Counts:
        from m2bench.devices.counters import COUNTED  # which a worker has imported

        return Counts(dict.fromkeys(COUNTED, 1.0), {"syncs": {}, "copies": {}, "doubles": {}})

    def peak_memory_mb(self) -> PeakMemory:
        return PeakMemory(None, 10.0)

    def proofs(self) -> dict[str, Proof]:
        engaged = "idle" not in self.faults
        reason = None if engaged else "it did nothing"
        return {layer: Proof(engaged, {}, reason) for layer in self.layers}

    def evaluate(self) -> float:
        return self.learned_return()

    def learned_return(self) -> float:
        """A ``dull`` system learns half as fast."""
        half_life = HALF_LIFE * (2 if "dull" in self.faults else 1)
        return GOOD_RETURN * (1 - 2 ** (-self.updates / half_life))

    def close(self) -> None:
        pass
