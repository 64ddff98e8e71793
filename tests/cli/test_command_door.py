"""``m2bench ablate --command``: real commands, from what is typed to the report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from commands import COMMAND, typed
from launched import still_in, wait_until, workers_of

from m2bench.store.results_database import Store

SHORT = ("--design", "single", "--blocks", "1")
# Prints a speed that its options multiply: with a by 2, with b by 0.5; each trial's seed scatters it by some percent.
TRAINER = """
speed=100 loss=5
for option in "$@"; do
    case $option in
        --a) speed=$((speed * 2)) ;;
        --b) speed=$((speed / 2)) loss=1 ;;
        --fail) echo "unknown layer" >&2; exit 3 ;;
        --ask) read answer && echo "$answer" || { echo "no answer"; exit 4; } ;;
        --hang) echo "stuck"; setsid sleep 1000 & sleep 1000 ;;
        --bad) echo "SPS: fast"; exit 0 ;;
        --quiet) exit 0 ;;
        --seed=*) seed=${option#--seed=} ;;
    esac
done
echo "SPS: 1"
echo "SPS: $speed.$((seed % 7)) loss $loss"
"""
SPS = ("--metric", "SPS: (\\S+)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.sh").write_text(TRAINER)
    return tmp_path


def ablated(
    folder: Path,
    *toggles: str,
    command: str = "sh train.sh --seed={seed}",
    options: tuple[str, ...] = (*SPS, *SHORT),
    code: int = 0,
) -> Any:
    """The summary of a quick run with these toggles, which ends with this exit code."""
    words = [word for toggle in toggles for word in ("--toggle", toggle)]
    done = typed("ablate", "--command", command, *words, *options, "--out", "run", cwd=folder)
    assert done.returncode == code, done.stderr
    return json.loads((folder / "run" / "summary.json").read_text())


def asleep(folder: Path) -> int:
    """How many processes of the planted hang there are."""
    found = 0
    for process in workers_of(folder):
        with suppress(psutil.NoSuchProcess):
            found += process.name() == "sleep"
    return found


def by_layers(summary: Any) -> dict[tuple[str, ...], Any]:
    return {tuple(row["layers"]): row for row in summary["combinations"]}


def test_planted_speeds_are_recovered(folder: Path) -> None:
    summary = ablated(folder, "a=--a", "b=--b", options=(*SPS, "--metric", "loss ([0-9.]+)", "--all", "--blocks", "1"))
    rows = by_layers(summary)
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert rows["a",]["speedup"] == pytest.approx(2, rel=0.05)
    assert rows["b",]["speedup"] == pytest.approx(0.5, rel=0.05)
    assert rows["a", "b"]["speedup"] == pytest.approx(1, rel=0.05)
    with Store.open(folder / "run") as store:
        told = {trial.spec.layers: trial.timed.metrics for trial in store.trials()}
    assert {layers: found["loss"] for layers, found in told.items()} == {(): 5, ("a",): 5, ("b",): 1, ("a", "b"): 1}
    assert all(next(iter(found)) == "SPS" for found in told.values())
    assert {layer["learning"] for layer in summary["layers"]} == {"not told"}


def test_a_time_is_better_when_it_is_lower(folder: Path) -> None:
    options = (*SPS, "--lower-is-better", *SHORT)
    rows = by_layers(ablated(folder, "a=--a", options=options))
    assert rows["a",]["speedup"] == pytest.approx(0.5, rel=0.05)


def test_what_fails_with_one_toggle_is_said_and_the_others_go_on(folder: Path) -> None:
    toggles = ("a=--a", "fails=--fail", "asks=--ask", "bad=--bad", "silent=--quiet", "gone=sh train.sh|no-such-program")
    rows = by_layers(ablated(folder, *toggles))
    assert rows["a",]["speedup"] == pytest.approx(2, rel=0.05)
    for layer, reason in {
        "fails": "the command ended with exit code 3; its last lines: unknown layer",
        "asks": "the command ended with exit code 4; its last lines: no answer",
        "bad": "--metric SPS is 'fast', which is not a number",
        "silent": "--metric SPS was not found in the output; it printed nothing",
        "gone": "the command cannot be started: no program 'no-such-program'",
    }.items():
        assert rows[layer,]["status"] == "failed"
        assert reason in rows[layer,]["reason"]


def test_a_command_that_never_ends_is_killed_with_all_that_it_has_started(folder: Path) -> None:
    options = (*SPS, *SHORT, "--trial-timeout", "2")
    rows = by_layers(ablated(folder, "hangs=--hang", options=options, code=1))  # nothing is left to compare
    assert "the command did not end within 2 s and was killed; its last lines: stuck" in rows["hangs",]["reason"]
    assert asleep(folder) == 0


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        (
            "sh train.sh --fail",
            SPS,
            "without any layer the command ended with exit code 3; its last lines: unknown layer",
        ),
        (
            "sh train.sh",
            ("--metric", "FPS: ([0-9.]+)"),
            "--metric FPS was not found in the output; its last lines: SPS: 1 ",
        ),
        ("sh train.sh", ("--metric", "json:train.sps"), "--metric json:train.sps was not found in the output"),
        ("sh train.sh --bad", SPS, "'fast', which is not a number"),
        ("sh train.sh --hang", (*SPS, "--trial-timeout", "1"), "did not end within 1 s and was killed"),
        ("no-such-program", (), "the command cannot be started: no program 'no-such-program'"),
        ("sh train.sh", (*SPS, "--skip-first", "2"), "SPS was found 2 times, and --skip-first leaves out 2"),
        ("sh train.sh", ("--skip-first", "2"), "--skip-first leaves out matches, and no --metric matches"),
        ("sh train.sh", ("--device", "cpu"), "--device has no effect on a command"),
        ("sh train.sh", ("--threads", "2"), "--threads has no effect on a command"),
        ("sh train.sh", ("--num-envs", "2"), "belong to different trainers"),
        ("sh train.sh", ("--layers", "c"), "unknown layer 'c'"),
    ],
)
def test_what_no_trial_can_measure_ends_with_one_message(
    command: str, options: tuple[str, ...], message: str, folder: Path
) -> None:
    done = typed("ablate", "--command", command, "--toggle", "a=--a", *options, *SHORT, "--out", "run", cwd=folder)
    assert done.returncode == 1
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (folder / "run").exists()
    assert asleep(folder) == 0


def test_it_goes_on_in_its_own_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    ablated(folder, "a=--a")
    done = typed("ablate", "--resume", str(folder / "run"), "--more-blocks", "1", cwd=tmp_path_factory.mktemp("else"))
    assert done.returncode == 0, done.stderr
    assert "SPS" in done.stdout
    rows = by_layers(json.loads((folder / "run" / "summary.json").read_text()))
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_the_plan_and_the_budget(folder: Path) -> None:
    asked = ("--command", "sh train.sh", "--toggle", "a=--a", *SPS)
    done = typed("ablate", *asked, "--dry-run", "--blocks", "2", cwd=folder)
    # A a B A, twice less one, and the first.
    assert "It takes as long as 7 runs of the command; nothing was run." in done.stdout
    done = typed("ablate", *asked, "--budget", "1m", "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "minutes have room for --design full --blocks 3" in done.stdout
    assert "The command runs: SPS 100" in done.stdout


def test_a_command_sees_the_shell_s_environment_and_nothing_of_ours(tmp_path: Path) -> None:
    """By a shell of its own, which has no locale, so that Python would set one."""
    shell = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ODD": "a b", "OMP_WAIT_POLICY": "active"}
    words = ["ablate", "--command", "env", "--toggle", "a=env:OWN=1", *SHORT, "--out", "run"]
    done = subprocess.run([COMMAND, *words], cwd=tmp_path, env=shell, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = [log.read_text().splitlines() for log in (tmp_path / "run" / "logs").glob("*.log")]
    seen = {tuple(sorted(lines)) for lines in printed if lines}
    expected = [f"{name}={value}" for name, value in shell.items()]
    assert seen == {tuple(sorted(expected)), tuple(sorted([*expected, "OWN=1"]))}


def test_ctrl_c_leaves_nothing_running(folder: Path) -> None:
    process = subprocess.Popen(
        [COMMAND, "ablate", "--command", "sh train.sh", "--toggle", "hangs=--hang", *SPS, *SHORT, "--out", "run"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: asleep(folder) == 2, 60)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "continue with: m2bench ablate --resume run" in said
    assert "Traceback" not in said
    assert still_in(folder) == []


def test_what_starts_a_command_imports_no_torch() -> None:
    code = "import sys, m2bench.worker.launcher, m2bench.worker.programs, m2bench.systems.command.system; "
    done = subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], check=False)
    assert done.returncode == 0


def test_the_layers_are_listed_by_what_they_do(folder: Path) -> None:
    done = typed("layers", "--command", "sh train.sh", "--toggle", "a=--a", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert [(layer["name"], layer["summary"]) for layer in json.loads(done.stdout)["layers"]] == [("a", "adds --a")]
