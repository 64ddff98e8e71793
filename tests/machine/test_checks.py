"""Each thing that is wrong with a machine is found, and only that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from m2bench.machine import checks
from m2bench.machine.checks import Finding, check_machine, warnings_of_machine
from m2bench.machine.mps_features import FEATURES, is_usable, missing_features
from m2bench.records.description import Claim, Description, LayerDescription
from m2bench.records.documents import read, to_json
from m2bench.records.results import RunConditions

MACHINE = {
    "device": "cpu", "device_name": "x86_64", "absent_devices": {"mps": "not a Mac"}, "torch_threads": 2, "torch": "2",
    "logical_cores": 2, "physical_cores": 2, "environment": {}, "chip": "a chip", "memory_mb": 8e3, "python": "3.11",
}  # fmt: skip
CONDITIONS = RunConditions(
    other_cores=0.0, other_cores_worst=0.0, busy_trials=0, canary_spread=None, canary_related=False, power=("mains",),
    low_power=False, thermal=("nominal",),
)  # fmt: skip


def layer(name: str, unsupported: str | None = None) -> LayerDescription:
    claim = Claim(low=1, high=2, text="1-2x", difficulty="low", priority="low")
    return LayerDescription(name=name, part=name, claim=claim, exact=True, compiles=False, unsupported=unsupported)


LAYERS = (layer("amp"), layer("compile"))


def described(facts: dict[str, Any]) -> Description:
    """Machine and device that tell these facts beside those of a sound one."""
    told = {**MACHINE, **facts}
    system: dict[str, Any] = {"unit": {}, "facts": {}, "no_target_because": None}
    workload: dict[str, Any] = {"market": {}, "target": None}
    return read(Description, {"system": system, "machine": told, "device": told, "workload": workload, "layers": ()})


def checks_of(tmp_path: Path, facts: dict[str, Any], layers: tuple[LayerDescription, ...] = LAYERS) -> list[Finding]:
    return check_machine(described(facts), layers, CONDITIONS, 0.02, tmp_path)


def bad(tmp_path: Path, machine: dict[str, Any], conditions: dict[str, Any], trial_sd: float = 0.02) -> list[str]:
    found = check_machine(described(machine), LAYERS, replace(CONDITIONS, **conditions), trial_sd, tmp_path)
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
    description = described(facts)
    found = warnings_of_machine(description.machine, description.device)
    assert [expected in warning for expected, warning in zip(warnings, found, strict=True)] == [True] * len(warnings)


@pytest.mark.parametrize("name", ["LEAST_FREE_DISK_MB", "LEAST_FREE_MEMORY_MB"])
def test_a_full_machine_is_a_problem(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, name, 1e12)
    assert bad(tmp_path, {}, {}) == [name.split("_")[2].lower()]


def test_a_layer_that_cannot_run_is_noted(tmp_path: Path) -> None:
    found = checks_of(tmp_path, {}, (*LAYERS, layer("batching", "no compiler")))
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
    found = checks_of(tmp_path, facts)
    (compiler,) = [check for check in found if check.name == "compiler"]
    assert (compiler.state, words in compiler.found, bool(compiler.fix)) == (state, True, state == "note")


@pytest.mark.parametrize(("version", "state"), [("13.6", "note"), ("14.0", "ok"), ("26.1", "ok")])
def test_an_old_macos_has_no_mps(version: str, state: str, tmp_path: Path) -> None:
    found = checks_of(tmp_path, {"macos": version})
    assert [check.state for check in found if check.name == "macos"] == [state]


@pytest.mark.parametrize(
    ("device", "state"), [({"device": "mps", "gates": []}, "bad"), ({"device": "cuda"}, "note"), ({}, "note")]
)
def test_the_fallback_of_mps_spoils_figures_of_mps_alone(device: dict[str, Any], state: str, tmp_path: Path) -> None:
    found = checks_of(tmp_path, {**device, "environment": {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}})
    assert [check.state for check in found if check.name == "environment"] == [state]


def test_a_feature_is_usable_from_its_version_on() -> None:
    assert not is_usable("fused_scaler", (2, 12))
    assert is_usable("fused_scaler", (2, 13))
    assert is_usable("inductor", (3, 0))
    never = ("events", "layout", "pinning", "sampling", "streams")
    assert not any(is_usable(name, (2, 14)) for name in never)
    assert {found.feature for found in missing_features((2, 13))} == {FEATURES[name].name for name in never}
    assert [is_usable("bfloat16", version) for version in ((2, 5), (2, 6))] == [False, True]
    assert len(missing_features((2, 4))) == len(FEATURES)


def test_every_feature_names_its_source() -> None:
    assert all(feature.source.startswith("#") for feature in FEATURES.values())


def test_a_missing_feature_is_noted_with_the_release_that_has_it(tmp_path: Path) -> None:
    found = checks_of(tmp_path, {"gates": [to_json(missing) for missing in missing_features((2, 12))]})
    fixes = {check.found.split(" needs ")[0]: check.fix for check in found if check.name == "torch"}
    assert fixes[FEATURES["peak_memory"].name] == "Install torch 2.13 or newer."
    assert fixes[FEATURES["sampling"].name] == ""
