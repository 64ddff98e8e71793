"""Machines whose trials do nothing but take a known time, and whose layers have known effects.

All of the session is real but what runs a trial: Dask, the machine's lock, what is sent and what comes back.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from made_run import BASELINE_SPEED, FACTORS, description_document, make_record, result

from m2bench.fleet import machine_session
from m2bench.options.run_spec import RunSpec
from m2bench.records.description import Description
from m2bench.records.results import Conditions
from m2bench.records.spec import TrialSpec
from m2bench.run.run_ablation import Ready
from m2bench.run.trials import Execute, Watched
from m2bench.store.stored_trial import Result

DIARY = "trials.jsonl"
"""In the machines' folder: host, key, begin and end of every trial that ran (s, of one clock)."""
SCATTER = 0.01
CALM = Conditions(0.0, cores=2)


def executor(trial_s: float, diary: Path | None = None, host: str = "") -> Execute:
    """Runs trials of this length, at a speed by their layers and the length."""
    scatter = random.Random(host)

    def execute(trial: TrialSpec, log: Path) -> Watched[Result]:
        begin = time.monotonic()
        time.sleep(trial_s)
        if diary is not None:
            with diary.open("a") as file:
                file.write(json.dumps([host, trial.key, begin, time.monotonic()]) + "\n")
        log.write_bytes(b"a trial that takes its time\n")
        effect = prod(FACTORS[layer] for layer in trial.layers)
        return Watched(result(BASELINE_SPEED / trial_s * effect * scatter.gauss(1, SCATTER)), CALM)

    return execute


def take_time(host: str, chip: str, trial_s: float, folder: Path) -> None:
    """Have this process be such a machine."""
    document = description_document(tuple(FACTORS))
    document["machine"] |= {"chip": chip}

    def found(spec: RunSpec) -> Description:
        return make_record(spec, document).description

    def get_ready(launcher: object, spec: RunSpec, *_: object) -> Ready:
        record = make_record(replace(spec, threads=1), document)
        return Ready(record.spec, record.description, record.prepared)

    fakes: dict[str, Callable[..., Any]] = {
        "Launcher": lambda *_: SimpleNamespace(end_worker=lambda: None, stop=lambda: None),
        "describe": lambda launcher, workload, logs: found(RunSpec(tuple(FACTORS), (), 1, seed=0, workload=workload)),
        "get_ready": get_ready,
        "trial_executor": lambda *_: executor(trial_s, folder / DIARY, host),
        "busy_now": lambda: None,
    }
    vars(machine_session).update(fakes)
