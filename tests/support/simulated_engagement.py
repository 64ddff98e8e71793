"""Made-up runs of a trainer whose layers do something that torch shows, something that it does not, or nothing.

``python tests/support/simulated_engagement.py 300`` prints what runs find of a layer that does nothing, and of one that
has an effect on the time alone, by design, blocks and scatter.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from made_run import STARTED, description_document, make_record, result

from m2bench.findings.engagement import JudgedRun, judge_engagement
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.records.combinations import Layers
from m2bench.records.results import Calls, Fingerprint
from m2bench.records.spec import TrialSpec
from m2bench.store.stored_trial import RunRecord, StoredTrial

LAYERS = ("idle", "amp", "python")
"""``idle`` does nothing, ``amp`` changes what torch does, ``python`` may have an effect on the time."""
PLAIN = Fingerprint(
    update=4,
    operators={"aten::addmm(float32)": Calls(2, "a"), "aten::relu(float32)": Calls(1, "b")},
    settings={"threads": "2"},
    weights="1f",
)
DEFAULT = ("single", "leave-one-out", "stack")
DESIGNS = ((("single",), 3), (("single",), 4), (("single",), 8), (DEFAULT, 3), (DEFAULT, 6), (("full",), 2))
SCATTERS = (0.02, 0.05, 0.10, 0.20)
EFFECTS = (1.05, 1.10, 1.25)
STATES = ("not-engaged", "unproved", "outside torch")


def fingerprint(trial: TrialSpec) -> Fingerprint | None:
    """That of a system in which ``amp`` alone changes what torch does."""
    seen = replace(PLAIN, weights=f"{trial.seed}")
    return replace(seen, operators={"aten::addmm(bfloat16)": Calls(2, "a")}) if "amp" in trial.layers else seen


def record_of(design: tuple[str, ...], blocks: int, layers: Layers = LAYERS) -> RunRecord:
    document = description_document(layers)
    document["workload"]["target"] = None
    return make_record(RunSpec(layers, design, blocks, seed=0, learning="off"), document)


def trials_of(
    record: RunRecord,
    speed: Callable[[TrialSpec], float] = lambda trial: 100.0,
    seen: Callable[[TrialSpec], Fingerprint | None] = fingerprint,
    **measured: Any,
) -> list[StoredTrial]:
    return [
        StoredTrial(trial, STARTED, 1.0, "ok", None, None, result(speed(trial), fingerprint=seen(trial), **measured))
        for trial in make_trials(record.spec)
    ]


def noisy(sd: float, seed: int, factor: float = 1.0, layer: str = "python") -> Callable[[TrialSpec], float]:
    """Speeds that scatter by ``sd`` (of log speed), of which ``layer`` has an effect."""
    rng = np.random.default_rng(seed)
    return lambda trial: float(100 * np.exp(sd * rng.standard_normal()) * (factor if layer in trial.layers else 1.0))


def judged(design: tuple[str, ...] = ("full",), blocks: int = 3, **made: Any) -> JudgedRun:
    record = record_of(design, blocks)
    return judge_engagement(record, trials_of(record, **made))


def states(found: JudgedRun) -> dict[str, str]:
    return {layer: each.engagement for layer, each in found.layers.items()}


def shares(design: tuple[str, ...], blocks: int, sd: float, factor: float, runs: int) -> Mapping[str, Counter[str]]:
    """What so many runs find of the layers that torch does not show."""
    found = {layer: Counter[str]() for layer in ("idle", "python")}
    for seed in range(runs):
        told = states(judged(design, blocks, speed=noisy(sd, seed, factor)))
        for layer, counts in found.items():
            counts[told[layer]] += 1
    return found


def main(runs: int) -> None:
    print(f"{runs} runs each; percent of {' / '.join(STATES)}")
    for design, blocks in DESIGNS:
        for sd in SCATTERS:
            found = [shares(design, blocks, sd, factor, runs) for factor in EFFECTS]
            of_layers = {
                "nothing": found[0]["idle"],
                **{f"{f - 1:.0%}": s["python"] for f, s in zip(EFFECTS, found, strict=True)},
            }
            told = {
                name: " / ".join(f"{100 * counts[state] / counts.total():.3g}" for state in STATES)
                for name, counts in of_layers.items()
            }
            print(f"{','.join(design)}, {blocks} | scatter {sd:.0%} | {told}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
