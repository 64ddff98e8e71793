"""The noise of a run from planted anchors, and what the machine did meanwhile from recorded texts."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from launched import wait_until
from made_run import result
from scipy import stats

from m2bench.devices import device_speed
from m2bench.findings.noise import (
    describe_conditions,
    is_disturbed,
    measure_repeats,
    warnings_of,
)
from m2bench.machine.conditions import Watch, parse_low_power, parse_power_source, parse_thermal
from m2bench.records.results import Conditions
from m2bench.records.spec import TrialSpec
from m2bench.store.stored_trial import StoredTrial


def anchor(block: int, speed: float, status: str = "ok") -> StoredTrial:
    found = result(speed) if status == "ok" else None
    return StoredTrial(TrialSpec("k", (), block, 0), "", 1.0, status, None, None, found)


def anchors(rng: np.random.Generator, drift: float = 0.0, blocks: int = 3, each: int = 9) -> list[StoredTrial]:
    total = blocks * each
    logs = rng.normal(0, 0.05, total) + drift * np.linspace(0, 1, total)
    return [anchor(1 + index // each, math.exp(value)) for index, value in enumerate(logs)]


@pytest.mark.parametrize("drift", [0.0, 0.2])
def test_identical_baselines_are_told_apart_in_5_percent_at_most_drift_or_not(drift: float) -> None:
    rng = np.random.default_rng(0)
    outside = []
    for _ in range(400):
        noise = measure_repeats(anchors(rng, drift))
        assert noise.aa_ratio is not None
        assert noise.aa_ratio.interval is not None
        outside.append(not noise.aa_ratio.interval[0] <= 1 <= noise.aa_ratio.interval[1])
    assert np.mean(outside) <= 0.085


def test_a_machine_that_slows_down_steadily_moves_the_halves_of_the_baselines_alike() -> None:
    found = measure_repeats([anchor(1, 100 * 0.9**index) for index in range(8)])
    assert found.aa_ratio is not None
    assert (found.aa_pairs, found.aa_ratio.value) == (4, pytest.approx(1))


def test_a_drift_is_found() -> None:
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(200):
        noise = measure_repeats(anchors(rng, 0.3))
        assert noise.drift is not None
        assert noise.drift.interval is not None
        covered.append(noise.drift.interval[0] <= math.exp(0.3) <= noise.drift.interval[1])
    assert 0.9 <= np.mean(covered) <= 0.99


def test_neighbours_within_a_block_are_compared_and_failures_left_out() -> None:
    noise = measure_repeats([anchor(1, 100), anchor(1, 0, "failed"), anchor(1, 120), anchor(2, 500), anchor(2, 450)])
    assert noise.aa_worst == pytest.approx(1.2)
    assert noise.aa_typical == pytest.approx(math.sqrt(1.2 * 500 / 450))


def test_without_anchors_nothing_is_said() -> None:
    assert measure_repeats([]).aa_ratio is None
    assert measure_repeats([anchor(1, 100)]).aa_typical is None


# --- conditions


def trial(canary_s: float = 0.01, speed: float = 600.0, **conditions: Any) -> StoredTrial:
    quiet = Conditions(other_cores=0.01, power="mains", low_power=False, thermal="nominal")
    found = result(speed, canary_s=(canary_s, canary_s * 1.5))
    return StoredTrial(TrialSpec("k", (), 1, 0), "", 1.0, "ok", None, None, found, replace(quiet, **conditions))


def test_a_quiet_machine_gives_no_warning() -> None:
    assert describe_conditions([trial() for _ in range(30)]).warnings == ()


@pytest.mark.parametrize(
    ("disturbed", "word"),
    [
        ({"other_cores": 0.9}, "close them"),
        ({"power": "battery"}, "mains"),
        ({"low_power": True}, "switch it off"),
        ({"thermal": "heavy"}, "cool"),
    ],
)
def test_every_disturbance_is_told_with_what_to_do(disturbed: dict[str, Any], word: str) -> None:
    (warning,) = describe_conditions([trial(**disturbed) for _ in range(30)]).warnings
    assert word in warning


def test_a_few_disturbed_trials_are_enough_for_a_warning() -> None:
    trials = [trial() for _ in range(30)] + [trial(other_cores=1.7)] * 2
    (warning,) = describe_conditions(trials).warnings
    assert "up to 1.7 cores busy while 2 trials ran, which" in warning


def test_what_disturbs_other_work_than_trials_is_told_by_its_name() -> None:
    quiet, busy = trial().conditions, trial(other_cores=0.9, power="battery").conditions
    assert quiet is not None
    assert busy is not None
    assert warnings_of([quiet] * 3, "process") == []
    load, power = warnings_of([quiet, busy], "process")
    assert "up to 0.9 cores busy while 1 process ran, which" in load
    assert power.startswith("some processes ran on battery")
    assert "while 2 processes ran" in warnings_of([busy, busy], "process")[0]


def varying(trials: int = 40) -> list[StoredTrial]:
    """A machine that is now and then slower by 30 %, canary and trials alike."""
    return [trial(0.01 * slower, 600 / slower) for slower in (1 + 0.3 * (index % 2) for index in range(trials))]


def test_a_machine_whose_own_speed_varies_is_told() -> None:
    (warning,) = describe_conditions(varying()).warnings
    assert "the machine's speed varied by 30%" in warning
    assert "trials were slower when it was slow" in warning


def test_a_canary_that_varies_beside_identical_trials_that_do_not_is_no_warning() -> None:
    assert describe_conditions(varying(), scatter=1.01).warnings == ()
    assert len(describe_conditions(varying(), scatter=1.2).warnings) == 1


@pytest.mark.parametrize("trials", [4, 27])
def test_a_canary_that_is_noise_of_its_own_is_no_warning(trials: int) -> None:
    """Canary and trials scatter by 9 and by 10 % without any relation: at most 1 in 100 such runs may warn."""
    rng = np.random.default_rng(0)
    logs = rng.normal(0, (0.09, 0.1), (1000, trials, 2))
    runs = [[trial(*np.exp(pair)) for pair in run] for run in logs]
    warned = np.mean([bool(describe_conditions(run).warnings) for run in runs])
    assert warned <= stats.binom.ppf(0.999, 1000, 0.01) / 1000


def test_the_canary_tells_of_the_machine_through_its_own_noise() -> None:
    """The machine's speed varies by 8 %; canary and trials scatter by 3 % beside that."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        machine = rng.normal(0, 0.08, 27)
        canary, speed = machine + rng.normal(0, 0.03, 27), -machine + rng.normal(0, 0.03, 27)
        run = [trial(*np.exp(pair)) for pair in zip(canary, speed, strict=True)]
        found.append(describe_conditions(run, scatter=1.08).canary_related)
    assert np.mean(found) >= 0.99


def test_combinations_are_compared_with_themselves_alone() -> None:
    """A canary that is slower beside the slower combination says nothing of the machine."""
    plain, fast = trial(0.02, 600.0), trial(0.01, 6000.0)
    fast = replace(fast, spec=replace(fast.spec, layers=("a",)))
    assert not describe_conditions([plain, fast] * 20).canary_related


def test_the_canary_is_the_median_of_so_many_series_that_single_moments_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A clock by which each series takes 6 ms with 9 % noise, and every third one is interrupted."""
    rng = np.random.default_rng(0)

    def reading() -> tuple[float, float]:
        moments = [0.0]
        for number in range(200):
            lasted = 0.006 * math.exp(rng.normal(0, 0.09)) * (3.0 if number % 3 == 0 else 1.0)
            moments += [moments[-1] + 0.001, moments[-1] + 0.001 + lasted]
        clock = iter(moments[1:])
        now = [0.0]

        def perf_counter() -> float:
            now[0] = next(clock)
            return now[0]

        monkeypatch.setattr(device_speed, "time", SimpleNamespace(perf_counter=perf_counter))
        monkeypatch.setattr(device_speed, "CANARY_PRODUCTS", 0)
        return device_speed.device_canary_s(torch.device("cpu")), now[0]

    found, took = np.array([reading() for _ in range(300)]).T
    assert np.min(took) >= 0.05
    assert np.std(np.log(found)) < 0.045
    assert np.median(found) == pytest.approx(0.006, rel=0.1)


def test_a_run_is_disturbed_when_more_than_a_quarter_of_its_trials_were() -> None:
    quiet, busy = trial(), trial(other_cores=0.9)
    assert not is_disturbed([quiet] * 9 + [busy] * 3)
    assert is_disturbed([quiet] * 8 + [busy] * 4)


def test_the_load_of_others_is_what_is_not_the_trials_own() -> None:
    """What a process computes is another's, unless it is the trial's own: it is not one that ours has waited for."""
    watch = Watch()
    begin = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        computing = psutil.Process(process.pid)
        wait_until(lambda: sum(computing.cpu_times()[:2]) > 0.3)  # however little of a core it gets beside others
        computed_s = sum(computing.cpu_times()[:2])
        loaded = watch.conditions(own_cpu_s=0.0).other_cores
        elapsed_s = time.monotonic() - begin
        process.kill()
    assert loaded is not None
    assert loaded >= (computed_s - 0.05) / elapsed_s
    assert watch.conditions(own_cpu_s=1000.0).other_cores == 0.0
    assert watch.conditions(own_cpu_s=None).other_cores is None


# Written after what Apple's tools print; nobody could record them here.
PMSET_BATT = """Now drawing from 'Battery Power'
 -InternalBattery-0 (id=4653155)\t63%; discharging; 5:12 remaining present: true
"""
PMSET = """System-wide power settings:
Currently in use:
 standby              1
 Sleep On Power Button 1
 lowpowermode         1
 hibernatemode        3
"""


def test_texts_of_macos_are_understood_and_others_tell_nothing() -> None:
    assert parse_power_source(PMSET_BATT) == "battery"
    assert parse_power_source("Now drawing from 'AC Power'\n") == "mains"
    assert parse_low_power(PMSET) is True
    assert parse_low_power(PMSET.replace("lowpowermode         1", "lowpowermode         0")) is False
    assert parse_thermal("com.apple.system.thermalpressurelevel 0\n") == "nominal"
    assert parse_thermal("com.apple.system.thermalpressurelevel 2\n") == "heavy"
    for parse in (parse_power_source, parse_low_power, parse_thermal):
        assert parse("") is None
