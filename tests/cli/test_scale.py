"""``m2bench scale`` as it is typed: of the trading system's interface, a function, a command; and what it refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import typed

FAKE = ("--workload", "fake_workload", "--quick", "--threads", "1", "--blocks", "2", "--learning", "off")
TRAINER = """
import torch

def train(*, num_envs=8, rate="low", fused=False, threads=0, seed=0):
    assert (threads, rate) == (torch.get_num_threads(), "high")
    held = torch.zeros(num_envs, 2**20) if num_envs > 10**6 else None
    while True:
        torch.ones(num_envs, 64).sum()
        yield num_envs
"""


def scale(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return typed("scale", *words, "--out", "run", cwd=folder)


def lines(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "run" / "summary.json").read_text())["lines"]
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("scale")
    done = scale(folder, *FAKE, "--num-envs", "1,8", "--with", "batching,amp")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_set_is_measured_at_every_size_and_the_baseline_at_one(ran: tuple[Path, str]) -> None:
    found = {(tuple(line["layers"]), point["size"]): point for line in lines(ran[0]) for point in line["points"]}
    assert {key: tuple(point["layers"]) for key, point in found.items()} == {
        ((), 1.0): (),
        (("batching", "amp"), 1.0): ("amp",),
        (("batching", "amp"), 8.0): ("batching", "amp"),
    }
    assert {point["status"] for point in found.values()} == {"ok"}
    limits = found[("batching", "amp"), 8.0]["limits"]
    assert all(limits[name] > 0 for name in ("dispatch", "arithmetic", "memory"))


def test_the_report_is_written_and_written_again_alike(ran: tuple[Path, str]) -> None:
    files = [ran[0] / "run" / name for name in ("report.md", "report.html", "summary.json", "charts/lines.svg")]
    before = [path.read_text() for path in files]
    again = typed("report", "run", cwd=ran[0])
    assert again.returncode == 0, again.stderr
    assert [path.read_text() for path in files] == before
    assert again.stdout.splitlines()[-1] == "Report: run/report.html"
    assert again.stdout.splitlines()[-3:] == ran[1].splitlines()[-3:]


def test_it_goes_on_and_takes_more_blocks(ran: tuple[Path, str]) -> None:
    done = typed("scale", "--resume", "run", "--more-blocks", "1", cwd=ran[0])
    assert done.returncode == 0, done.stderr
    found = json.loads((ran[0] / "run" / "summary.json").read_text())
    assert found["trials_done"] == found["trials_planned"] == 3 * 4


def test_an_ablation_and_a_scale_run_are_not_taken_for_each_other(ran: tuple[Path, str]) -> None:
    for command in (("ablate", "--resume", "run"), ("compare", "run", "run"), ("report", "run", "--trace", "noise")):
        done = typed(*command, cwd=ran[0])
        assert (done.returncode, done.stdout) == (1, "")
        assert "run of m2bench scale" in done.stderr, command


def test_settings_of_a_function_are_given_to_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TRAINER)
    done = scale(tmp_path, "mine.py:train", "--num-envs", "2,200000000", "--setting", "rate=high", "--quick",
                 "--blocks", "1", "--threads", "1")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = lines(tmp_path)
    (line,) = found
    small, large = line["points"]
    assert (line["fixed"], small["size"], small["status"]) == ({"rate": "high"}, 2.0, "ok")
    assert (large["status"], large["episodes_per_min"]) == ("failed", None)
    assert large["reason"].startswith("failed: out of memory")


def test_settings_of_a_command_stand_for_their_names(tmp_path: Path) -> None:
    done = scale(tmp_path, "--command", "echo score {size}", "--metric", "score ([0-9]+)", "--setting", "size=10,20",
                 "--blocks", "2")  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = lines(tmp_path)
    assert [point["episodes_per_min"] for point in line["points"]] == pytest.approx([10.0, 20.0])
    assert "Train with size 20: " in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--threads", "1,4096"), "--threads 4096: this machine has "),
        (("--devices", "tpu"), "--devices 'tpu' is not known"),
        (("--setting", "a=1"), "--setting is for a trainer of your own"),
        (("mine.py:train", "--setting", "batch=1,2"), "mine.py:4: train has no parameter batch"),
        (("mine.py:train", "--setting", "fused=1,2"), "mine.py:4: train has fused=False"),
        (("mine.py:train", "--setting", "num_envs=a,b"), "mine.py:4: train takes a number for num_envs"),
        (("mine.py:train", "--setting", "rate"), "--setting 'rate' is not a setting"),
        (("mine.py:train", "--setting", "rate=a", "--setting", "rate=b"), "--setting rate is given twice"),
        (("--command", "echo 1", "--setting", "size=1,2"), "{size} does not occur in the command"),
        (("--command", "echo {n}", "--setting", "n=1", "--threads", "1"), "--threads has no effect on a command"),
        (("--with", "batching", "--run", "elsewhere"), "--with and --run both name a set"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_one_message(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TRAINER)
    done = scale(tmp_path, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_the_sweep_says_what_has_come_in_its_place(tmp_path: Path) -> None:
    done = typed("ablate", "--sweep", "8,64", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        1, "error: --sweep has become a command. Use: m2bench scale --num-envs 8,64\n"
    )  # fmt: skip
