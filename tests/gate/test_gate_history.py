"""A reference over time: how often equal code is called slower, and slower code is not, where the truth is planted."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_check import MACHINE

from m2bench.errors import UserError
from m2bench.gate.references.history import Series, make_series
from m2bench.gate.references.promotion import taken_over
from m2bench.gate.references.reading import StoredCheck, read_check
from m2bench.gate.references.reference import Recorded, Reference, with_level
from m2bench.gate.references.stored import find, write_reference
from m2bench.records.description import Rate, Unit
from m2bench.text.speed import Speed

DELTA = 0.05
FAST = "batching"
SPEEDUP = 10.0
Job = dict[str, Recorded]


def job(ratio: float = 1.0, host: float = 1.0, canary: float = 1.0) -> Job:
    """What a job measures of code that is ``ratio`` times as fast, where trials are ``host`` times and the fixed
    computation is ``canary`` times as fast as usual.
    """
    blocks = 6

    def recorded(speed: float, speedup: list[float]) -> Recorded:
        return Recorded([speed] * blocks, speedup, [0.01 / canary] * blocks, {}, {}, {}, [])

    plain = 600.0 * host
    return {
        "baseline": recorded(plain * ratio, []),
        FAST: recorded(plain * SPEEDUP * ratio**2, [SPEEDUP * ratio] * blocks),
    }


def reference_of(first: Job) -> Reference:
    found = Reference("release", "2026-01-01T00:00:00+00:00", "first", "0.1", MACHINE, {"data": "m"}, first)
    return with_level(None, found, "saved")


def document_of(measured: Job, day: int) -> dict[str, Any]:
    return {
        "format": "m2bench check", "schema": 2, "date": f"2026-02-{day + 1:02}T00:00:00+00:00",
        "head": {"name": f"c{day}"}, "machine": MACHINE, "counted_by": "m2bench 0.1", "workload": {"data": "m"},
        "changes": [],
        "measured": {name: asdict(recorded) for name, recorded in measured.items()},
    }  # fmt: skip


def check_of(measured: Job, day: int) -> StoredCheck:
    return read_check(document_of(measured, day))


def history(jobs: list[Job]) -> list[Series]:
    """Of a reference that the first job saved, and checks by the others."""
    return make_series(reference_of(jobs[0]), [check_of(one, day) for day, one in enumerate(jobs[1:])], DELTA)


def jobs_of(ratios: list[float], sd: float, rng: np.random.Generator) -> list[Job]:
    """Jobs whose code, host and fixed computation are off by as much each, and independently."""
    return [job(*(rng.lognormal(0, sd, 3) * (ratio, 1, 1))) for ratio in ratios]


def test_a_slower_host_is_no_creep() -> None:
    """The last five jobs were on a host on which everything takes longer, the fixed computation as well."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        noise = np.exp(rng.normal(0, 0.005, 15))
        found = history([job(float(n), *[0.85 if day >= 10 else 1.0] * 2) for day, n in enumerate(noise)])
        assert not any(one.creep for one in found)
        assert {one.metric for one in found if one.undecided} == {"episodes_per_min"}
        assert all(("Undecided whether it has become slower" in one.sentence) == one.undecided for one in found)


def test_a_faster_host_does_not_hide_slower_code() -> None:
    """The code takes 15 % longer, where the host is faster by as much: what is as before is not called sound."""
    rng = np.random.default_rng(0)
    noise = np.exp(rng.normal(0, 0.002, 15))
    later = [0.85 if day >= 10 else 1.0 for day in range(15)]
    found = history([job(float(n) * ratio, 1 / ratio, 1 / ratio) for n, ratio in zip(noise, later, strict=True)])
    baseline = next(one for one in found if one.combination == "baseline")
    assert (baseline.creep, baseline.undecided) == (False, True)


def test_slower_code_on_the_same_host_is_creep() -> None:
    """1 % from job to job, until it is 14 % slower; jobs scatter by 1 %."""
    rng = np.random.default_rng(0)
    ratios = [0.99 ** min(day, 15) for day in range(22)]
    runs = [history(jobs_of(ratios, 0.01, rng)) for _ in range(60)]
    assert sum(any(one.creep for one in run) for run in runs) >= 57


def test_code_that_is_slower_by_what_is_allowed_is_hardly_ever_called_creep() -> None:
    """There the rate of false alarms of all series is at its greatest, 1 %, whether there are few jobs or many."""
    rng = np.random.default_rng(0)
    for checks in (3, 5, 12):
        runs = [history(jobs_of([1.0] + [1 - DELTA] * checks, 0.02, rng)) for _ in range(200)]
        assert sum(any(one.creep for one in run) for run in runs) <= 6


def test_a_check_that_became_a_level_counts_once(tmp_path: Path) -> None:
    """It would make four jobs that differ by +-13 % look as if they agreed."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(150):
        first, *others = (job(speed, 1.0, 1.0) for speed in np.exp(rng.uniform(-0.13, 0.13, 5)))
        checks = [check_of(one, day) for day, one in enumerate(others)]
        (tmp_path / "check.json").write_text(json.dumps(document_of(others[-1], len(others) - 1)))
        promoted = taken_over(reference_of(first), tmp_path, "promoted", None)
        found = make_series(promoted, checks, DELTA)
        assert all([point.kind for point in one.points] == ["saved", *["check"] * 3, "promoted"] for one in found)
        alarms += any(one.creep for one in found)
    assert alarms <= 4


SAMPLES = Speed(Unit("sample", "samples"), Rate("samples/s", 1 / 60))
TIME = Speed(Unit("run", "runs"), Rate("s", 1 / 60, lower_is_better=True))


def test_a_users_trainer_is_spoken_of_in_its_own_unit(tmp_path: Path) -> None:
    for speed, named in ((SAMPLES, "samples/s"), (TIME, "speed"), (None, "episodes/min")):
        write_reference(tmp_path, replace(reference_of(job()), shown_as=speed))
        read_again = find(tmp_path, "release")
        assert read_again.shown_as == speed
        sentences = [one.sentence for one in make_series(read_again, [], DELTA)]
        assert [sentence.partition(":")[0] for sentence in sentences] == [
            f"baseline {named}", f"{FAST} {named}", f"{FAST} speedup",
        ]  # fmt: skip


def test_a_check_in_another_unit_does_not_become_a_level(tmp_path: Path) -> None:
    """A trainer that yields steps in place of samples has not become slower; nothing else that is stored differs."""
    reference = replace(reference_of(job()), shown_as=SAMPLES)
    for speed, unit in ((SAMPLES, ""), (None, ""), (TIME, "unit: samples/s and s")):
        document = {**document_of(job(), 0), "shown_as": speed and asdict(speed)}
        (tmp_path / "check.json").write_text(json.dumps(document))
        assert reference.counts_otherwise(speed) == ([unit] if unit else [])
        if unit:
            with pytest.raises(UserError, match=unit):
                taken_over(reference, tmp_path, "promoted", None)
        else:
            assert taken_over(reference, tmp_path, "promoted", None).shown_as == SAMPLES


def test_what_was_checked_before_the_first_level_is_not_since_then() -> None:
    checks = [check_of(job(2.0), 0)]
    late = replace(reference_of(job()), created="2026-06-01T00:00:00+00:00")
    assert all(len(one.points) == 1 for one in make_series(with_level(None, late, "saved"), checks, DELTA))
