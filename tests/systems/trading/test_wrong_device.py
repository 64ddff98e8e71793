"""A device that computes wrongly is found before anything is measured, or by the checks of a trial of its size."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from commands import FAKE, typed
from made_run import SPEC as RUN_SPEC
from made_run import make_record
from repository import SUPPORT
from rich.console import Console
from wrong_devices import WrongDevice

from m2bench.baselines.episodes import PreparedMarket
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.errors import UserError
from m2bench.gate.facts import SideFacts, changed_arithmetic
from m2bench.inspect import forward
from m2bench.records.combinations import Layers
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.trading import system as trading
from m2bench.systems.trading.numerics import check_device
from m2bench.systems.trading.referee import EPISODES, Referee, ask_plain, referee_episodes
from m2bench.systems.trading.system import TradingSystem

EPISODE_LENGTH = 8
ROWS = 512
SPEC = WorkloadSpec(device="cpu", options={"num_envs": ROWS // EPISODE_LENGTH, "episode_length": EPISODE_LENGTH})
SETTINGS = Hyperparameters(episode_length=EPISODE_LENGTH)
FACTOR = 1.01  # the least that is to be found: a larger one is further beyond the same limits
REFUSED = (
    "error: cpu computes wrongly in single precision "
    "(gradient: weight is off by 2 of its size, where 0.0001 is allowed)"
)


def with_options(**options: str | int) -> WorkloadSpec:
    return replace(SPEC, options={**SPEC.options, **options})


@pytest.fixture(scope="module")
def faults(work: Path) -> Callable[[AbstractContextManager[object]], list[str]]:
    """What is found wrong with a device, where the plain trainer is asked within this context."""
    market, referee = PreparedMarket(work / "market"), Referee.load(work)
    free, _ = referee_episodes(market, EPISODE_LENGTH)

    def find(device: AbstractContextManager[object]) -> list[str]:
        with device:
            plain = ask_plain(market, SETTINGS, torch.device("cpu"), referee.exact.gradients)
        return check_device(replace(referee, plain=plain), free)

    return find


Find = Callable[[AbstractContextManager[object]], list[str]]


@pytest.mark.parametrize(
    ("operator", "finding"),
    [
        ("layer norm weight gradient", r"gradient: \S+\.norm\.weight \(and 7 more\) is off by {error} of its size"),
        ("linear", "draws: logits is off by"),
        ("matrix product of the gradient", r"gradient: \S+ \(and \d+ more\) is off by"),
        ("log softmax", r"gradient: \S+ \(and \d+ more\) is off by"),
        ("argmax", "draws: 8 of 8 episodes draw an action that rounding cannot explain"),
        ("adam step", "update: update [12] of (macro|micro) .* is off by {error} of its size, where 0.001 is allowed"),
    ],
)
def test_a_wrong_device_is_found_with_what_it_gets_wrong(operator: str, finding: str, faults: Find) -> None:
    """All eight norms, and nothing else, where it is their weights' gradients; by as much as was planted."""
    found = faults(WrongDevice(operator, FACTOR))
    pattern = finding.replace("{error}", re.escape(f"{FACTOR - 1:.2g}"))
    assert any(re.match(pattern, sentence) for sentence in found), found


def test_a_sound_device_is_not_refused(faults: Find) -> None:
    assert faults(nullcontext()) == []


def test_what_is_not_a_number_is_wrong(faults: Find) -> None:
    assert any("is off by nan of its size" in sentence for sentence in faults(WrongDevice("layer norm", float("nan"))))


@pytest.fixture
def build(work: Path) -> Iterator[Callable[[Layers], TradingSystem]]:
    built: list[TradingSystem] = []

    def make(layers: Layers) -> TradingSystem:
        built.append(trading.build(SPEC, work, layers, seed=1))
        return built[-1]

    yield make
    for system in built:
        system.close()


def changed(system: TradingSystem, device: AbstractContextManager[object]) -> set[str]:
    """The checks that find something in a trial on the device."""
    with device:
        checks = system.check_numerics()
    return {name for name, check in checks.items() if not check.same}


@pytest.mark.parametrize(
    "operator", ["layer norm weight gradient", "linear", "matrix product of the gradient", "log softmax"]
)
def test_what_is_wrong_at_large_sizes_alone_is_found_in_the_trial_of_that_size(
    operator: str, faults: Find, build: Callable[[Layers], TradingSystem]
) -> None:
    """The plain trainer never has so many rows; batching has them in its one pass with gradients."""
    device = WrongDevice(operator, FACTOR, least_rows=ROWS)
    assert faults(device) == []
    system = build(("batching", "vectorized-loss"))
    assert changed(system, nullcontext()) == set()
    assert "gradient" in changed(system, device)


@pytest.mark.parametrize(
    ("policy", "layers", "num_envs"),
    [
        ("default", ("amp",), 1),
        ("deep", ("amp",), 1),
        ("default", ("batching", "amp", "vectorized-loss"), EPISODES),
        ("default", ("batching", "amp", "vectorized-loss"), 512),
    ],
)
def test_rounding_to_half_precision_is_no_fault_and_a_threefold_gradient_is(
    policy: str, layers: Layers, num_envs: int, work: Path, deep_work: Path
) -> None:
    """Of one episode, in which terms cancel; through many layers, which add to it; added up over very many rows.

    Single precision is right there, so that the plain trainer knows nothing of the fault.
    """
    folder = deep_work if policy == "deep" else work
    system = trading.build(with_options(policy=policy, num_envs=num_envs), folder, layers, seed=1)
    assert changed(system, nullcontext()) == set()
    if num_envs <= EPISODES:  # to plant one takes minutes with more
        assert changed(system, WrongDevice("matrix product of the gradient", 3.0, dtype=torch.bfloat16)) == {"gradient"}


def test_a_multiple_of_what_the_device_gets_wrong_is_not_allowed_beyond_the_limit(work: Path, tmp_path: Path) -> None:
    """A plain trainer just within the limit would let four times its error through; a device that is refused does."""
    referee = Referee.load(work)
    (tmp_path / "market").symlink_to(work / "market")
    for error, found in ((0.9e-4, {"gradient"}), (2e-4, set())):
        gradients = referee.exact.gradients * (1 + error)
        replace(referee, plain=replace(referee.plain, gradients=gradients)).save(tmp_path)
        system = trading.build(with_options(num_envs=EPISODES), tmp_path, ("batching", "vectorized-loss"), seed=1)
        assert changed(system, WrongDevice("layer norm weight gradient", 1 + 3.5 * error)) == found


def test_the_user_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    options = ("--layers", "amp", "--data", "wrong-device", "--out", "run")
    done = typed("ablate", *FAKE, *options, cwd=tmp_path, NVIDIA_TF32_OVERRIDE="1")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{REFUSED}: no figure measured on it would mean anything. You can unset NVIDIA_TF32")
    for remedy in ("--device", f"another version of torch ({version('torch')} here)", "--allow-wrong-device"):
        assert remedy in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_with_the_users_consent_every_figure_is_marked(tmp_path: Path) -> None:
    options = ("--layers", "amp", "--data", "wrong-device", "--allow-wrong-device", "--out", "run")
    done = typed("ablate", *FAKE, *options, cwd=tmp_path, draws=True)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    mark, reason = "(on a device that computes wrongly)", "weight is off by 2 of its size"
    summary = json.loads((run / "summary.json").read_text())
    assert reason in summary["device_faults"][0]
    assert all(reason in row["device_faults"] for row in csv.DictReader((run / "impact.csv").read_text().splitlines()))
    report = (run / "report.md").read_text().splitlines()
    assert mark in report[2]  # the headline
    assert reason in report[6]  # the warning right under its two lines
    titles = [line for line in report if line.startswith("### ") and "|" in "".join(report[report.index(line) :][:4])]
    assert titles
    assert all(mark in title for title in titles)
    assert mark in (run / "report.html").read_text()
    drawn = list((run / "charts").glob("*.svg"))
    assert drawn
    assert all(mark in re.sub(r"\s*</text>\s*<text[^>]*>|\n", " ", chart.read_text()) for chart in drawn)


WRONG = """
from dataclasses import replace
import fake_workload
from fake_workload import build


def describe(spec, work):
    described = fake_workload.describe(spec, work)
    remarks = {"market_remarks": ["candles.csv: there is no volume."]}
    return replace(described, workload=described.workload.with_facts(remarks))


def prepare(spec, work):
    return ["gradient: weight is off by 2 of its size, where 0.0001 is allowed"]
"""


@pytest.mark.parametrize(
    "command", [("doctor", "--seconds", "1"), ("profile", "--layer", "amp", "--quick"), ("train", "--episodes", "1")]
)
def test_other_commands_refuse_it_as_well_and_say_what_is_to_be_said_of_the_market(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    paths = os.pathsep.join(map(str, (SUPPORT, tmp_path)))
    done = typed(*command, "--workload", "wrong", cwd=tmp_path, PYTHONPATH=paths)
    assert (done.returncode, done.stderr.startswith(REFUSED)) == (1, True), done.stderr
    assert "--allow-wrong-device" not in done.stderr  # they have no such option
    assert "candles.csv: there is no volume." in done.stdout


def test_forward_refuses_it_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = ("draws: logits is off by 1 of its size, where 0.0001 is allowed",)
    record = make_record(RUN_SPEC)
    monkeypatch.setattr(forward, "describe", lambda launcher, spec, logs: record.description)
    monkeypatch.setattr(forward, "prepare", lambda launcher, spec, logs: replace(record.prepared, device_faults=faults))
    with pytest.raises(UserError, match=r"^cpu computes wrongly .*logits is off by 1"):
        forward.time_passes(SPEC, [1], 5, tmp_path / "out", Console(quiet=True))


def said(faults: tuple[str, ...] | None) -> SideFacts:
    return SideFacts(make_record(RUN_SPEC).description, faults)


def test_a_check_tells_a_wrong_device_from_a_wrong_change() -> None:
    """By the base, where that looks; without it the device is to blame."""
    wrong = ("draws: logits is off by 1 of its size, where 0.0001 is allowed",)
    for base in ({}, {"base": said(wrong)}, {"base": said(None)}):
        with pytest.raises(UserError, match=r"cpu computes wrongly .*draws: logits is off by 1"):
            changed_arithmetic({**base, "head": said(wrong)})
        assert changed_arithmetic({**base, "head": said(())}) is None
    found = changed_arithmetic({"base": said(()), "head": said(wrong)})
    assert found is not None
    assert found.endswith(f"wrong where the base's is right: {wrong[0]}")
