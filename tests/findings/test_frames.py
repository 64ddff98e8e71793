"""What a notebook gets of a run, against the file that it is read from."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import TESTS
from made_run import BASELINE_SPEED, FACTORS, FULL, SPEC, make_run

import m2bench
from m2bench.findings.frames import Run
from m2bench.records.errors import UserError

ROOT = TESTS.parent
SAMPLE = ROOT / "reports" / "sample"
LAYERS = ("batching", "amp", "compile", "vectorized-loss", "dataloader", "grad-accumulation")


@pytest.fixture(scope="module")
def sample() -> Run:
    return m2bench.load_run(SAMPLE)


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
            columns += LAYERS if plain == "one for each layer" else [plain]
            columns += [f"{plain}_low", f"{plain}_high"] if mark else []
        found[frame] = columns
    return found


def test_trials_are_those_of_the_file(sample: Run, stored: list[dict[str, Any]]) -> None:
    trials = sample.trials
    assert len(trials) == len(stored) == 246
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


def test_frames_hold_the_figures_of_the_summary_file(sample: Run) -> None:
    """Which another version of the code has written."""
    written = json.loads((SAMPLE / "summary.json").read_text())
    for frame, rows in (("effects", "layers"), ("combinations", "combinations"), ("interactions", "interactions")):
        found = getattr(sample, frame).to_dict("records")
        assert len(found) == len(written[rows])
        for row, document in zip(found, written[rows], strict=True):
            names = {"effects": ("alone", "shapley", "share"), "combinations": ("speedup", "episodes_to_target"),
                     "interactions": ("effect",)}[frame]  # fmt: skip
            for name in names:
                low, high = document[f"{name}_ci" if frame != "interactions" else "ci"] or (float("nan"),) * 2
                expected = (float("nan") if document[name] is None else document[name], low, high)
                got = (row[name], row[f"{name}_low"], row[f"{name}_high"])
                assert got == pytest.approx(expected, rel=1e-6, nan_ok=True)
    assert sample.summary.recommended is not None
    assert list(sample.summary.recommended.layers) == written["recommended"]["layers"]


def test_the_columns_are_those_that_are_documented(sample: Run, documented: dict[str, list[str]]) -> None:
    for frame in ("trials", "effects", "combinations", "interactions"):
        assert list(getattr(sample, frame).columns) == documented[frame], frame


def test_the_documented_example_runs(monkeypatch: pytest.MonkeyPatch, sample: Run) -> None:
    """As it stands in docs/python.md, from the root of the repository; the run is read once, here too."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), flags=re.S)
    monkeypatch.chdir(ROOT)
    read = m2bench.load_run
    monkeypatch.setattr(m2bench, "load_run", lambda folder: sample if read(folder).name == sample.name else None)
    exec(example, {})


def test_planted_factors_are_in_the_frames(tmp_path: Path) -> None:
    """Made-up speeds; a repeated trial is there, and not used."""
    with make_run(tmp_path / "run", spec=FULL):
        run = m2bench.load_run(tmp_path / "run")
    assert run.name == "run"
    trials = run.trials[run.trials["kind"] == "speed"]
    assert trials["used"].all()
    by_layers = trials.groupby("layers")["episodes_per_min"].median()
    assert by_layers["baseline"] == pytest.approx(BASELINE_SPEED, rel=0.03)
    assert by_layers["batching"] / by_layers["baseline"] == pytest.approx(FACTORS["batching"], rel=0.03)
    alone = run.effects.set_index("layer").loc["amp"]
    assert alone["alone_low"] < FACTORS["amp"] < alone["alone_high"]


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
