"""A user's function in the commands, as a user types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import typed
from repository import ROOT
from users_code import in_folder, workload

from m2bench.records.spec import TrialSpec, WindowSpec
from m2bench.worker.trial import run_trial

TRAINER = '''
import time
UNITS = "tokens"
CLAIMS = {"faster": (1.5, 2.5)}
def train(*, faster=False, crash=False, loud=False, seed=0):
    """Waits."""
    for update in range(1000):
        time.sleep(0.004 if faster else 0.008)
        if crash and update == 2:
            raise ValueError("too much of it")
        if loud:
            print("x" * 100_000)
        yield 10
'''
ONE_UPDATE = WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=1, timed_most_s=0, timed_error=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the trainer, and a run of it."""
    folder = tmp_path_factory.mktemp("function")
    (folder / "my_trainer.py").write_text(TRAINER)
    options = ("--design", "single", "--quick", "--blocks", "1", "--threads", "1", "--learning", "off", "--out", "run")
    done = typed("ablate", "my_trainer.py:train", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_layer_that_fails_leaves_the_others_their_figures(run: Path) -> None:
    """With the layer `faster` an update takes half as long."""
    summary = json.loads((run / "run" / "summary.json").read_text())
    rows: dict[tuple[str, ...], Any] = {tuple(c["layers"]): c for c in summary["combinations"]}
    assert {layers: c["status"] for layers, c in rows.items()} == {
        (): "ok", ("faster",): "ok", ("crash",): "failed", ("loud",): "ok",
    }  # fmt: skip
    assert (
        'ValueError: too much of it (my_trainer.py:10: raise ValueError("too much of it"))' in rows["crash",]["reason"]
    )
    assert 1.6 < rows["faster",]["speedup"] < 2.4
    assert "Traceback" in "".join(path.read_text() for path in (run / "run" / "logs").glob("*crash*.log"))
    report = (run / "run" / "report.md").read_text()
    assert "\ncrash: failed: ValueError" in report


def test_the_report_speaks_of_the_users_own_units(run: Path) -> None:
    told = (run / "run" / "report.md").read_text()
    assert "Waits." in told
    assert "tokens" in told
    assert "episode" not in told


def test_layers_are_listed_with_what_is_told_of_them(run: Path) -> None:
    done = typed("layers", "my_trainer.py:train", cwd=run)
    assert done.returncode == 0, done.stderr
    assert [word in done.stdout for word in ("faster", "crash", "loud", "1.5-2.5x", "runs")] == 5 * [True]
    assert "priority" not in done.stdout  # of which nothing is told


def test_a_profile_says_what_it_cannot_tell(run: Path) -> None:
    done = typed("profile", "my_trainer.py:train", "--layer", "faster", "--quick", "--out", "profile", cwd=run)
    assert done.returncode == 0, done.stderr
    assert "The trainer reports no phases" in done.stdout
    assert "One update of 10 tokens takes" in done.stdout
    assert (run / "profile" / "traces" / "after.speedscope.json").exists()
    assert json.loads((run / "profile" / "profile.json").read_text())["timeline"] is None


def test_what_its_module_says_of_layers_is_planned_by_and_listed(tmp_path: Path) -> None:
    """Two of eight combinations have the inner layer without the outer one, and one has two that exclude each other."""
    source = "NEEDS = {'inner': 'outer'}\nEXCLUDES = {'inner': 'other'}\n"
    source += "def train(outer=False, inner=False, other=False):\n    while True:\n        yield 1\n"
    (tmp_path / "my_trainer.py").write_text(source)
    done = typed("ablate", "my_trainer.py:train", "--all", "--blocks", "1", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    planned = {line.strip() for line in done.stdout.splitlines() if line.startswith("  ")}
    assert planned == {"baseline", "outer", "other", "outer+inner", "outer+other"}
    listed = typed("layers", "my_trainer.py:train", cwd=tmp_path).stdout
    assert "needs" in listed
    assert "excludes" in listed


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("ablate", "my_trainer.py"), "'my_trainer.py' names no function. Give one such as my_trainer.py:train"),
        (("ablate", "my_trainer.py:learn"), "my_trainer.py has no function learn. It has: my_trainer.py:train."),
        (("layers", "other.py:train"), "other.py is not there"),
        (("ablate", "my_trainer.py:train", "--layers", "amp"), "unknown layer 'amp'. There are: faster, crash, loud."),
        (("ablate", "my_trainer.py:train", "--device", "cpu"), "takes no device, so --device cpu has no effect"),
        (("profile", "my_trainer.py:train"), "there is nothing to profile. Name a layer with --layer"),
        (("train", "my_trainer.py:train"), "m2bench train works for the built-in trading system only."),
        (
            ("train", "my_trainer.py:train", "--workload", "mine"),
            "--workload and a trainer of your own belong to different",
        ),
        (("train", "--command", "sh train.sh"), "m2bench train works for the built-in trading system only."),
        (("profile", "--command", "sh train.sh", "--toggle", "a=--a"), "a command cannot be profiled"),
        (("ablate", "--workload", "mine", "--command", "sh train.sh"), "--workload and --command belong to different"),
    ],
)
def test_a_mistake_is_one_message(run: Path, command: tuple[str, ...], message: str) -> None:
    done = typed(*command, cwd=run)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert message in line


def test_init_writes_a_trainer_and_never_over_one(tmp_path: Path) -> None:
    done = typed("init", "mine.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (
        0, "mine.py is written. Measure it: m2bench ablate mine.py:train --all --quick\n",
    )  # fmt: skip
    (tmp_path / "mine.py").write_text("of great value")
    assert "mine.py exists already, and was left as it is" in typed("init", "mine.py", cwd=tmp_path).stderr
    assert (tmp_path / "mine.py").read_text() == "of great value"
    assert "mine.txt is not the name of a Python file" in typed("init", "mine.txt", cwd=tmp_path).stderr
    assert "cannot be written: No such file" in typed("init", "nowhere/mine.py", cwd=tmp_path).stderr


EXAMPLES = {
    "m2bench/systems/function/template.py": ("amp", "fused"),  # compiling takes long, and is tried by hand
    "docs/examples/supervised.py": ("amp", "channels_last", "fused", "workers"),
    "docs/examples/cartpole.py": ("many_envs", "one_forward", "fused"),
}


@pytest.mark.parametrize("file", EXAMPLES)
def test_a_trainer_that_is_shown_runs_with_each_of_its_layers(file: str, tmp_path: Path) -> None:
    """With equal seeds the first loss is that of the plain trainer, within the contract; layers that change the batch
    aside.
    """
    shutil.copy(ROOT / file, tmp_path / "my_trainer.py")
    with in_folder(tmp_path):
        found, spec = workload((tmp_path / "my_trainer.py").read_text())
        assert "m2bench" not in (tmp_path / "my_trainer.py").read_text().partition('"""')[2].partition('"""')[2]
        names = found.layers(spec)
        contracts = {layer.name: layer.loss_tolerance for layer in found.describe(spec, tmp_path).layers}
        losses = {
            layers: run_trial(found, spec, tmp_path, TrialSpec("key", layers, 1, seed=3), ONE_UPDATE).losses
            for layers in [(), *((layer,) for layer in EXAMPLES[file])]
        }
    assert {*EXAMPLES[file]} <= {*names}
    assert all(len(each) == 5 for each in losses.values())
    for layers, each in losses.items():
        if layers != ("many_envs",):
            tolerance = (contracts[layers[0]] if layers else None) or 1e-4
            assert each[0] == pytest.approx(losses[()][0], rel=tolerance), layers


def test_cartpole_learns(tmp_path: Path) -> None:
    """With all its layers an episode gets several times as long."""
    shutil.copy(ROOT / "docs" / "examples" / "cartpole.py", tmp_path / "my_trainer.py")
    with in_folder(tmp_path):
        found, spec = workload((tmp_path / "my_trainer.py").read_text())
        system = found.build(spec, tmp_path, ("many_envs", "one_forward"), 0)
        returns = [
            float(told.mean_return)
            for told in (system.told(system.update()) for _ in range(60))
            if told.mean_return is not None
        ]
        system.close()
    assert sum(returns[-5:]) / 5 > 3 * returns[0]


SHORT = ("--design", "single", "--quick", "--blocks", "1", "--threads", "1", "--learning", "off", "--out", "run")
ENDS = """
def train(*, amp=False, fused=False, seed=0):
    for _ in range({plain} if not (amp or fused) else {layered}):
        yield 10
"""


@pytest.mark.parametrize(
    ("plain", "layered", "message"),
    [
        (5, 5, "error: without any layer train ended after 5 updates (my_trainer.py:2), and a trial needs more: at"),
        (
            10**6, 3,
            "error: nothing could be compared: every combination but the baseline failed, all for the same reason: "
            "train ended after 3 updates (my_trainer.py:2), and a trial needs more: at",
        ),
    ],
)  # fmt: skip
def test_a_trainer_that_ends_too_early_is_told_so_once(plain: int, layered: int, message: str, tmp_path: Path) -> None:
    (tmp_path / "my_trainer.py").write_text(ENDS.format(plain=plain, layered=layered))
    done = typed("ablate", "my_trainer.py:train", *SHORT, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert "let it train for longer" in done.stderr
    assert "Traceback" not in done.stderr
    told = " ".join(done.stdout.split())
    if plain == layered:
        assert not (tmp_path / "run").exists(), "nothing was measured, and the same folder can be used again"
    else:
        assert "fused: failed: for the same reason" in told or "amp: failed: for the same reason" in told
