"""The noise of a run from planted anchors, and what the machine did meanwhile from recorded texts."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from m2bench.conditions import Watch, parse_low_power, parse_power_source, parse_thermal
from m2bench.noise import describe_conditions, is_disturbed, measure_noise, warnings_of
from m2bench.spec import TrialSpec
from m2bench.store import StoredTrial


def anchor(block: int, speed: float, status: str = "ok") -> StoredTrial:
    result = {"update_s": [60 / speed], "episodes_per_update": 1} if status == "ok" else {}
    return StoredTrial(TrialSpec("k", (), block, 0), "", 1.0, status, None, None, result)


def anchors(rng: np.random.Generator, drift: float = 0.0, blocks: int = 3, each: int = 9) -> list[StoredTrial]:
    total = blocks * each
    logs = rng.normal(0, 0.05, total) + drift * np.linspace(0, 1, total)
    return [anchor(1 + index // each, math.exp(value)) for index, value in enumerate(logs)]


@pytest.mark.parametrize("drift", [0.0, 0.2])
def test_identical_baselines_are_told_apart_in_5_percent_at_most_drift_or_not(drift: float) -> None:
    rng = np.random.default_rng(0)
    outside = []
    for _ in range(400):
        noise = measure_noise(anchors(rng, drift))
        assert noise.aa_ci is not None
        outside.append(not noise.aa_ci[0] <= 1 <= noise.aa_ci[1])
    assert np.mean(outside) <= 0.085


def test_a_drift_is_found() -> None:
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(200):
        noise = measure_noise(anchors(rng, 0.3))
        assert noise.drift_ci is not None
        covered.append(noise.drift_ci[0] <= math.exp(0.3) <= noise.drift_ci[1])
    assert 0.9 <= np.mean(covered) <= 0.99


def test_neighbours_within_a_block_are_compared_and_failures_left_out() -> None:
    noise = measure_noise([anchor(1, 100), anchor(1, 0, "failed"), anchor(1, 120), anchor(2, 500), anchor(2, 450)])
    assert noise.aa_worst == pytest.approx(1.2)
    assert noise.aa_typical == pytest.approx(math.sqrt(1.2 * 500 / 450))


def test_without_anchors_nothing_is_said() -> None:
    assert measure_noise([]).aa_ratio is None
    assert measure_noise([anchor(1, 100)]).aa_typical is None


# --- conditions


def trial(canary_s: float = 0.01, **conditions: Any) -> StoredTrial:
    quiet = {"other_cores": 0.01, "power": "mains", "low_power": False, "thermal": "nominal"}
    result = {"canary_s": [canary_s, canary_s * 1.5]}
    return StoredTrial(TrialSpec("k", (), 1, 0), "", 1.0, "ok", None, None, result, quiet | conditions)


def test_a_quiet_machine_gives_no_warning() -> None:
    assert describe_conditions([trial() for _ in range(30)])["warnings"] == []


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
    (warning,) = describe_conditions([trial(**disturbed) for _ in range(30)])["warnings"]
    assert word in warning


def test_a_few_disturbed_trials_are_enough_for_a_warning() -> None:
    trials = [trial() for _ in range(30)] + [trial(other_cores=1.7)] * 2
    (warning,) = describe_conditions(trials)["warnings"]
    assert "up to 1.7 cores busy beside 2 trials" in warning


def test_what_disturbs_other_work_than_trials_is_told_by_its_name() -> None:
    quiet, busy = trial().conditions, trial(other_cores=0.9, power="battery").conditions
    assert quiet is not None
    assert busy is not None
    assert warnings_of([quiet] * 3, "process") == []
    load, power = warnings_of([quiet, busy], "process")
    assert "up to 0.9 cores busy beside 1 process, which" in load
    assert power.startswith("some processes ran on battery")
    assert "beside 2 processes" in warnings_of([busy, busy], "process")[0]


def test_a_machine_whose_own_speed_varies_is_told() -> None:
    trials = [trial(canary_s=0.01 * (1 + 0.3 * (index % 2))) for index in range(40)]
    (warning,) = describe_conditions(trials)["warnings"]
    assert "30% longer" in warning


def test_a_canary_that_varies_beside_identical_trials_that_do_not_is_no_warning() -> None:
    trials = [trial(canary_s=0.01 * (1 + 0.3 * (index % 2))) for index in range(40)]
    assert describe_conditions(trials, scatter=1.01)["warnings"] == []
    assert len(describe_conditions(trials, scatter=1.2)["warnings"]) == 1


def test_a_run_is_disturbed_when_more_than_a_quarter_of_its_trials_were() -> None:
    quiet, busy = trial(), trial(other_cores=0.9)
    assert not is_disturbed([quiet] * 9 + [busy] * 3)
    assert is_disturbed([quiet] * 8 + [busy] * 4)


def test_the_load_of_others_is_what_is_not_the_trials_own() -> None:
    """A process that keeps one core busy for a second is another's load, unless it is the trial's own."""
    watch = Watch()
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", "import time\nt=time.time()\nwhile time.time()<t+1: pass"], check=True)
    elapsed_s = time.monotonic() - begin
    loaded = watch.conditions(own_cpu_s=0.0)["other_cores"]
    assert loaded >= 0.8 / (elapsed_s + 0.1)
    assert watch.conditions(own_cpu_s=1000.0)["other_cores"] == 0.0
    assert watch.conditions(own_cpu_s=None)["other_cores"] is None


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
