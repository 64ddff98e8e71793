"""What a notebook gets of a run, against the file that it is read from."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_run import BASELINE_SPEED, FACTORS, FULL, SPEC, make_run
from repository import ROOT

import m2bench
from m2bench.errors import UserError
from m2bench.findings.frames import Run

SAMPLE = ROOT / "reports" / "sample"
SMALL = replace(FULL, layers=("batching", "amp"))
LAYERS = ("batching", "amp", "compile", "vectorized-loss", "dataloader", "grad-accumulation")


@pytest.fixture(scope="module")
def sample() -> Run:
    return m2bench.load_run(SAMPLE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two layers, whose speeds are planted."""
    folder = tmp_path_factory.mktemp("reports") / "sample"
    with make_run(folder, spec=SMALL):
        return m2bench.load_run(folder)


@pytest.fixture(scope="module")
def stored() -> list[dict[str, Any]]:
    """The sample's trials as its SQLite file holds them."""
    with sqlite3.connect(SAMPLE / "results.sqlite") as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM trial ORDER BY rowid")]
    return [row | {name: json.loads(row[name]) for name in ("spec", "result", "conditions")} for row in rows]


@pytest.fixture(scope="module")
def documented() -> dict[str, list[str]]:
    """The columns that docs/python.md lists, by frame."""
    parts = re.split(r"^## `run\.(\w+)`", (ROOT / "docs" / "python.md").read_text(), flags=re.M)[1:]
    found = {}
    for frame, text in zip(parts[::2], parts[1::2], strict=True):
        columns: list[str] = []
        for name, mark in re.findall(r"^\| (`\w+`|one for each layer)( \*i\*)? \|", text, flags=re.M):
            plain = name.strip("`")
            columns += SMALL.layers if plain == "one for each layer" else [plain]
            columns += [f"{plain}_low", f"{plain}_high"] if mark else []
        found[frame] = columns
    return found


def test_trials_are_those_of_the_file(sample: Run, stored: list[dict[str, Any]]) -> None:
    trials = sample.trials
    assert len(trials) == len(stored) == 257
    for name in ("key", "status", "elapsed_s"):
        assert list(trials[name]) == [row[name] for row in stored]
    assert list(trials["started"]) == [pd.Timestamp(row["started"]) for row in stored]
    for layer in LAYERS:
        assert list(trials[layer]) == [layer in row["spec"]["layers"] for row in stored]
    assert list(trials["layers"]) == ["+".join(row["spec"]["layers"]) or "baseline" for row in stored]
    for row, trial in zip(stored, trials.to_dict("records"), strict=True):
        timed = row["spec"]["kind"] == "speed"
        assert trial["kind"] == row["spec"]["kind"]
        assert trial["setup_s"] == (row["result"]["setup_s"] if timed else pytest.approx(float("nan"), nan_ok=True))
        assert trial["peak_memory_mb"] == pytest.approx(
            row["result"]["peak_memory_mb"]["host"] if timed else float("nan"), nan_ok=True
        )
        assert trial["episodes_to_target"] == pytest.approx(
            float("nan") if timed else row["result"]["episodes_to_target"], nan_ok=True
        )


def test_speed_is_that_of_the_steady_updates(sample: Run, stored: list[dict[str, Any]]) -> None:
    """Of a window that is steady throughout, the episodes per minute of the whole of it."""
    speeds = sample.trials["episodes_per_min"].to_numpy()
    whole = [60 * row["result"]["episodes_per_update"] * len(row["result"]["update_s"]) / sum(row["result"]["update_s"])
             if row["spec"]["kind"] == "speed" else float("nan") for row in stored]  # fmt: skip
    close = [abs(a / b - 1) < 1e-9 for a, b in zip(speeds, whole, strict=True) if a == a]
    assert sum(close) / len(close) > 0.8


def test_planted_factors_are_in_the_frames(made: Run) -> None:
    """batching 16x, amp 4x, whatever else is on; an interval of 95 % may just miss one of them, so 2 % are allowed."""
    assert made.name == "sample"
    trials = made.trials[made.trials["kind"] == "speed"]
    assert trials["used"].all()
    by_layers = trials.groupby("layers")["episodes_per_min"].median()
    assert by_layers["baseline"] == pytest.approx(BASELINE_SPEED, rel=0.03)
    effects = made.effects.set_index("layer")
    for layer in SMALL.layers:
        for figure in ("alone", "last", "main_effect", "shapley"):
            low, value, high = (effects[f"{figure}{end}"].astype(float)[layer] for end in ("_low", "", "_high"))
            assert low < value < high
            assert value == pytest.approx(FACTORS[layer], rel=0.02)
    assert effects["share"].sum() == pytest.approx(1.0)
    both = made.combinations.set_index("layers").loc["batching+amp"]
    assert both["speedup"] == pytest.approx(FACTORS["batching"] * FACTORS["amp"], rel=0.02)
    assert both["speedup_low"] < both["speedup"] < both["speedup_high"]
    assert both["ms_per_episode"] == pytest.approx(60_000 / both["episodes_per_min"])
    (pair,) = made.interactions.to_dict("records")
    assert (pair["layer"], pair["other"]) == ("batching", "amp")
    assert pair["effect"] == pytest.approx(1.0, rel=0.03)
    assert made.summary.best is not None
    assert made.summary.best.layers == SMALL.layers


def test_the_columns_are_those_that_are_documented(made: Run, documented: dict[str, list[str]]) -> None:
    for frame in ("trials", "effects", "combinations", "interactions"):
        assert list(getattr(made, frame).columns) == documented[frame], frame


def test_the_documented_example_runs(made: Run, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """As it stands in docs/python.md, where reports/sample is a small run."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), flags=re.S)
    monkeypatch.setattr(m2bench, "load_run", lambda folder: made if folder == "reports/sample" else None)
    exec(example, {})
    said = capsys.readouterr().out
    assert all(word in said for word in ("shapley_low", "speedup_high", "p_holm", "batching+amp"))


def test_a_run_is_shown_by_what_it_is(made: Run) -> None:
    assert re.fullmatch(r"Run\('sample', started \S+, \d+ trials, layers: batching, amp\)", repr(made))


def test_without_interactions_their_frame_has_its_columns(tmp_path: Path, documented: dict[str, list[str]]) -> None:
    """A design of single layers tells nothing of pairs; a notebook may ask for the smallest p value all the same."""
    with make_run(tmp_path / "run", spec=replace(SMALL, design=("single",))):
        pass
    interactions = m2bench.load_run(tmp_path / "run").interactions
    assert interactions.empty
    assert list(interactions.columns) == documented["interactions"]
    assert interactions.nsmallest(3, "p_holm").empty


def test_what_failed_or_was_never_run_is_missing(tmp_path: Path) -> None:
    with make_run(tmp_path / "run", spec=SPEC, trials=3, faults={("amp",): ("failed", "planted")}):
        pass
    run = m2bench.load_run(tmp_path / "run")
    failed = run.trials[run.trials["layers"] == "amp"]
    assert list(failed["status"]) == ["failed"] * len(failed)
    assert failed["episodes_per_min"].isna().all()
    assert failed["same_numerics"].isna().all()
    assert run.combinations["speedup"].isna().any()
    with make_run(tmp_path / "empty", spec=SPEC, trials=0):
        pass
    assert m2bench.load_run(tmp_path / "empty").trials.empty


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run found"):
        m2bench.load_run(str(tmp_path))


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys, m2bench; print(sorted({'numpy', 'pandas', 'scipy', 'torch', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
