"""Each thing that is wrong with a machine is found, and only that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from m2bench.machine import checks
from m2bench.machine.checks import check_machine, warnings_of_machine
from m2bench.machine.torch_features import GATES, describe_gates, is_open
from m2bench.records.summary import RunConditions

MACHINE = {
    "device": "cpu", "device_name": "x86_64", "absent_devices": {"mps": "not a Mac"}, "torch_threads": 2,
    "logical_cores": 2, "physical_cores": 2, "environment": {},
}  # fmt: skip
CONDITIONS = RunConditions(
    other_cores=0.0, other_cores_worst=0.0, busy_trials=0, canary_spread=None, canary_related=False, power=("mains",),
    low_power=False, thermal=("nominal",),
)  # fmt: skip
LAYERS = [{"name": "amp", "unsupported": None}, {"name": "compile", "unsupported": None}]


def bad(tmp_path: Path, machine: dict[str, Any], conditions: dict[str, Any], trial_sd: float = 0.02) -> list[str]:
    found = check_machine({**MACHINE, **machine}, LAYERS, replace(CONDITIONS, **conditions), trial_sd, tmp_path)
    states = [check.state for check in found]
    assert states == sorted(states, key=["bad", "note", "ok"].index)
    assert all(check.fix for check in found if check.state == "bad")
    return [check.name for check in found if check.state == "bad"]


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LEAST_FREE_DISK_MB", 0.0)
    monkeypatch.setattr(checks, "LEAST_FREE_MEMORY_MB", 0.0)


def test_a_sound_machine_has_no_problem(tmp_path: Path) -> None:
    assert bad(tmp_path, {}, {}) == []


@pytest.mark.parametrize(
    ("machine", "conditions", "trial_sd", "problem"),
    [
        ({}, {"power": ["battery", "mains"]}, 0.02, "power"),
        ({}, {"low_power": True}, 0.02, "power"),
        ({}, {"thermal": ["heavy", "nominal"]}, 0.02, "heat"),
        ({}, {"other_cores": 0.9}, 0.02, "load"),
        ({}, {}, 0.4, "noise"),
        ({"device": "mps", "device_name": "Apple Paravirtual device"}, {}, 0.02, "device"),
        ({"why_not_mps": "macOS offers none"}, {}, 0.02, "device"),
        ({"gates": [], "macos": "13.6.1"}, {}, 0.02, "macos"),
        ({"gates": [], "environment": {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}}, {}, 0.02, "environment"),
    ],
)
def test_each_problem_is_named(
    machine: dict[str, Any], conditions: dict[str, Any], trial_sd: float, problem: str, tmp_path: Path
) -> None:
    assert bad(tmp_path, machine, conditions, trial_sd) == [problem]


@pytest.mark.parametrize(
    ("facts", "warnings"),
    [
        ({}, []),
        ({"device": "mps", "device_name": "Apple Paravirtual device"}, ["is a virtual GPU"]),
        (
            {"why_not_mps": "macOS offers none"},
            ["--device auto takes the cpu and not this Mac's GPU: macOS offers none."],
        ),
        ({"gates": [], "environment": {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}}, ["PYTORCH_ENABLE_MPS_FALLBACK is set"]),
        # What is only to be known spoils nothing.
        ({"environment": {"PYTORCH_ENABLE_MPS_FALLBACK": "1", "OMP_NUM_THREADS": "1"}}, []),
    ],
)
def test_what_spoils_every_figure_of_a_machine_is_a_warning(facts: dict[str, Any], warnings: list[str]) -> None:
    found = warnings_of_machine({**MACHINE, **facts})
    assert [expected in warning for expected, warning in zip(warnings, found, strict=True)] == [True] * len(warnings)


@pytest.mark.parametrize("name", ["LEAST_FREE_DISK_MB", "LEAST_FREE_MEMORY_MB"])
def test_a_full_machine_is_a_problem(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, name, 1e12)
    assert bad(tmp_path, {}, {}) == [name.split("_")[2].lower()]


def test_a_layer_that_cannot_run_is_noted(tmp_path: Path) -> None:
    layers = [*LAYERS, {"name": "batching", "unsupported": "no compiler"}]
    found = check_machine(MACHINE, layers, CONDITIONS, 0.02, tmp_path)
    (note,) = [check for check in found if check.name == "layer"]
    assert (note.state, "no compiler" in note.found, bool(note.fix)) == ("note", True, True)


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        ({"cpp_compiler": "g++: g++ (Debian) 12.2.0"}, "ok", "g++: g++ (Debian) 12.2.0"),
        ({"no_cpp_compiler_because": "'g++' is not on the PATH"}, "note", "'g++' is not on the PATH: without one"),
    ],
)
def test_the_compiler_is_named_or_what_its_lack_costs(
    facts: dict[str, str], state: str, words: str, tmp_path: Path
) -> None:
    found = check_machine({**MACHINE, **facts}, LAYERS, CONDITIONS, 0.02, tmp_path)
    (compiler,) = [check for check in found if check.name == "compiler"]
    assert (compiler.state, words in compiler.found, bool(compiler.fix)) == (state, True, state == "note")


@pytest.mark.parametrize(("version", "state"), [("13.6", "note"), ("14.0", "ok"), ("26.1", "ok")])
def test_an_old_macos_has_no_mps(version: str, state: str, tmp_path: Path) -> None:
    found = check_machine({**MACHINE, "macos": version}, LAYERS, CONDITIONS, 0.02, tmp_path)
    assert [check.state for check in found if check.name == "macos"] == [state]


@pytest.mark.parametrize(
    ("device", "state"), [({"device": "mps", "gates": []}, "bad"), ({"device": "cuda"}, "note"), ({}, "note")]
)
def test_the_fallback_of_mps_spoils_figures_of_mps_alone(device: dict[str, Any], state: str, tmp_path: Path) -> None:
    machine = {**MACHINE, **device, "environment": {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}}
    found = check_machine(machine, LAYERS, CONDITIONS, 0.02, tmp_path)
    assert [check.state for check in found if check.name == "environment"] == [state]


def test_the_gates_open_with_their_version() -> None:
    assert not is_open("fused_scaler", (2, 12))
    assert is_open("fused_scaler", (2, 13))
    assert is_open("inductor", (3, 0))
    never = ("events", "layout", "pinning", "sampling", "streams")
    assert not any(is_open(name, (2, 14)) for name in never)
    assert {gate["feature"] for gate in describe_gates((2, 13))} == {GATES[name].feature for name in never}
    assert [is_open("bfloat16", version) for version in ((2, 5), (2, 6))] == [False, True]
    assert len(describe_gates((2, 4))) == len(GATES)


def test_every_gate_names_its_source() -> None:
    assert all(gate.source.startswith("#") for gate in GATES.values())
