"""Made-up runs of users' own trainers, of which the truth is known: a function, and commands ranked in several ways.

``python tests/support/users_runs.py DIR`` writes a report of each to a folder in ``DIR``.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from made_run import STARTED, description_document, make_record, result

from m2bench.options.run_spec import RunSpec
from m2bench.plan.remaining import remaining_trials
from m2bench.records.combinations import Layers
from m2bench.records.results import TrialResult
from m2bench.records.spec import WorkloadSpec
from m2bench.report.write_report import write_report
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import StoredTrial

LAYERS: Layers = ("amp", "compile", "fused")
TIMES_AS_GOOD = {"amp": 2.0, "compile": 1.25, "fused": 0.8}
"""What each layer does, whatever else is on."""
SCATTER = 0.01
COMMAND = "python train.py --workers 0"
TOGGLES = (
    "amp=--amp",
    "compile=env:TORCH_COMPILE=1",
    "fused=--workers 0|--workers 4",
)
NOT_TOLD = "the system does not tell how well it has learned"


@dataclass(frozen=True)
class Trainer:
    """A trainer whose ``baseline`` has this level, as users see it; ``kept``: what a level is kept as."""

    label: str
    baseline: float
    rate: dict[str, Any]
    unit: str = "run"
    lower_is_better: bool = False
    options: dict[str, Any] = field(default_factory=lambda: {"command": COMMAND, "toggle": list(TOGGLES)})
    module: str = "m2bench.systems.command.system"

    def level(self, layers: Layers) -> float:
        """The true level of a combination."""
        times = prod(TIMES_AS_GOOD[layer] for layer in layers)
        return self.baseline / times if self.lower_is_better else self.baseline * times

    def kept(self, level: float) -> float:
        """A level in units per minute, or as a metric is kept."""
        factor: float = self.rate.get("factor", 1.0)
        return (1 / level if self.lower_is_better else level) / factor

    @property
    def is_command(self) -> bool:
        return self.unit == "run"


FUNCTION = Trainer(
    "samples/s", 640.0, {"label": "samples/s", "factor": 1 / 60}, unit="sample",
    options={"trainer": "my_trainer.py:train"}, module="m2bench.systems.function.system",
)  # fmt: skip
SPS = Trainer("SPS", 1200.0, {"label": "SPS", "is_metric": True})
TIME = Trainer("s", 12.3, {"label": "s", "factor": 1 / 60, "lower_is_better": True}, lower_is_better=True)
LOSS = Trainer("loss", 0.5, {"label": "loss", "lower_is_better": True, "is_metric": True}, lower_is_better=True)
TRAINERS = {"function": FUNCTION, "sps": SPS, "time": TIME, "loss": LOSS}


def make_users_run(folder: Path, trainer: Trainer, layers: Layers = LAYERS, blocks: int = 3) -> Store:
    """A whole run of every combination."""
    workload = WorkloadSpec(options=trainer.options, module=trainer.module, folder="/home/user/project")
    spec = RunSpec(layers, ("full",), blocks, seed=0, workload=workload)
    described = description_document(layers)
    described["system"] = {
        "unit": {"one": trainer.unit, "many": f"{trainer.unit}s"},
        "rate": trainer.rate,
        "facts": {"command": COMMAND} if trainer.is_command else {"trainer": "my_trainer.py:train"},
        "no_target_because": NOT_TOLD,
    }
    described["workload"] = {
        "market": {}, "options": trainer.options, "target": None, "own_program": trainer.is_command
    }  # fmt: skip
    if trainer.is_command:
        described["device"] = {"device": "this machine"}
    described["layers"] = [
        {"name": name, "part": name, "claim": None, "exact": False, "compiles": False, "unsupported": None}
        for name in layers
    ]
    record = make_record(spec, described)
    store, scatter = Store.create(folder, record), random.Random(0)
    for trial in remaining_trials(spec, record.description, store.trials):
        found = measured(trainer, trainer.level(trial.layers) * scatter.gauss(1, SCATTER))
        store.add(StoredTrial(trial, STARTED, 1.0, "ok", None, None, found))
    return store


def measured(trainer: Trainer, level: float) -> TrialResult:
    """A trial at this level; a command tells a second metric, ten times the first."""
    untold: dict[str, Any] = {
        "numerics": {}, "phase_ms_per_episode": {}, "counts": None, "eval_return": None, "env_steps_per_s": None,
    }  # fmt: skip
    if trainer.is_command:
        untold |= {"setup_s": None, "warmup_update_s": (), "window_error": None, "turn_updates": ()}
        untold["metrics"] = {trainer.label: level, "tokens": 10 * level}
    return result(trainer.kept(level), **untold)


if __name__ == "__main__":
    for name, trainer in TRAINERS.items():
        with make_users_run(Path(sys.argv[1]) / name, trainer) as made:
            write_report(made)
