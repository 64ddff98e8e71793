"""The real command, as a user would type it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import COMMAND, FAKE, QUICKER, environment, m2bench, typed
from launched import wait_until, workers_of
from repository import SUPPORT

from m2bench.baselines.policy import AsymmetricPolicyNetwork
from m2bench.baselines.synthetic import synthetic_market
from m2bench.cli.app import app
from m2bench.inspect import doctor
from m2bench.optimizations import LAYERS, NOTE
from m2bench.processes.client import Launcher
from m2bench.records.spec import QUICK, WindowSpec, WorkloadSpec
from m2bench.run.describe import describe
from m2bench.systems.trading.options import locate_data


def summary(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return document


def rows(folder: Path) -> list[tuple[str, str, str]]:
    """(key, started, status) of the stored trials, in order."""
    connection = sqlite3.connect(folder / "results.sqlite")
    try:
        return connection.execute("SELECT key, started, status FROM trial ORDER BY rowid").fetchall()
    finally:
        connection.close()


def speed_trials(trials: list[tuple[str, str, str]]) -> int:
    """How many there are, without those that were run again beside less load."""
    return sum(not key.startswith("learn") and not key.endswith(".again") for key, _, _ in trials)


def test_every_command_and_option_has_help() -> None:
    assert app.info.help
    assert len(app.registered_commands) >= 4
    for command in app.registered_commands:
        assert command.callback is not None
        assert command.callback.__doc__
        name = command.name or command.callback.__name__
        shown = typed(name, "--help", cwd=SUPPORT).stdout
        options = [line for line in shown.splitlines() if line.strip().startswith("--")]
        assert options
        assert all(len(line.split("  ", 2)[-1].strip()) > 3 for line in options), options


def test_ablate_stores_all_combinations_and_writes_the_report(tmp_path: Path) -> None:
    options = ("--all", "--layers", "batching,amp", *FAKE, "--learning", "quick", "--blocks", "1", "--out", "run")
    done = typed("ablate", *options, cwd=tmp_path, draws=True)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    assert [(tuple(c["layers"]), c["status"]) for c in summary(run)["combinations"]] == [
        ((), "ok"), (("batching",), "ok"), (("amp",), "ok"), (("batching", "amp"), "ok"),
    ]  # fmt: skip
    for name in ("results.sqlite", "summary.json", "impact.csv", "report.md"):
        assert (run / name).stat().st_size > 0
    assert not (run / "work").exists()
    assert "Effect of each layer on episodes/min" in done.stdout
    assert done.stdout.strip().splitlines()[-1] == "Report: run/report.html"
    assert "\x1b" not in done.stdout  # no colours, no progress where nobody watches
    again = typed("report", "run", cwd=tmp_path, draws=True)
    assert again.returncode == 0
    assert done.stdout.startswith("Every trial uses ")
    assert done.stdout.endswith(again.stdout)


def test_it_is_a_module_that_python_runs(tmp_path: Path) -> None:
    def asked(*command: str) -> tuple[int, str, str]:
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    for arguments in (("--version",), ("ablate", "--layers", "turbo")):
        assert asked(sys.executable, "-m", "m2bench", *arguments) == asked(COMMAND, *arguments)


def test_a_dry_run_shows_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    done = typed("ablate", "--all", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert "64 combinations x 3 blocks" in done.stdout
    assert "216 trials, 0 done, 216 to run" in done.stdout
    assert "Block 3:" in done.stdout
    assert "more blocks" not in done.stdout
    assert "minutes" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "blocks", "suffice"),
    [
        (("--layers", "amp"), 5, None),
        (("--layers", "amp", "--blocks", "4"), 4, 5),
        (("--layers", "amp,batching", "--blocks", "1"), 1, 3),
        (("--layers", "amp,batching"), 3, None),
        (("--all", "--blocks", "1"), 1, None),
        (("--layers", "amp", "--budget", "1m"), 3, 5),
    ],
)
def test_too_few_blocks_for_intervals_are_said_before_the_run(
    options: tuple[str, ...], blocks: int, suffice: int | None, tmp_path: Path
) -> None:
    """One layer has trials of two kinds, whose means and blocks take up all but 2 x blocks - 1 of 3 x blocks."""
    done = typed("ablate", *options, "--dry-run", cwd=tmp_path)
    told = " ".join(done.stdout.split())
    assert f"x {blocks} block{'s' * (blocks > 1)}," in told
    said = re.findall(r"no figure will have an interval, and nothing can be shown: (\d+) blocks suffice", told)
    assert said == ([] if suffice is None else [str(suffice)])


@pytest.mark.timeout(60)
def test_a_dry_run_of_a_huge_plan_shows_its_first_blocks(tmp_path: Path) -> None:
    done = typed("ablate", "--layers", "amp", "--dry-run", "--blocks", "1000000", cwd=tmp_path)
    assert done.returncode == 0
    # Each block has the layer, and the baseline before and after it.
    assert "3000000 trials, 0 done, 3000000 to run" in done.stdout
    assert done.stdout.count("\n  ") == 3 * 3
    assert "And 999,997 more blocks" in done.stdout
    assert "days" in done.stdout


BAD = {
    "unknown layer": (("--layers", "amp,turbo"), "unknown layer 'turbo'"),
    "no layer": (("--layers", ","), "--layers names no layer. Name some"),
    "unknown design": (("--design", "everything"), "unknown design 'everything'"),
    "unknown device": (("--device", "tpu"), "--device 'tpu' is not known"),
    "unknown policy": (("--policy", "huge"), "--policy 'huge' is not known"),
    "unknown scaling": (("--lr-scaling", "cubic"), "--lr-scaling 'cubic' is not known"),
    "unknown algorithm": (("--algorithm", "dqn"), "--algorithm 'dqn' is not known. Use one of: reinforce, ppo."),
    "epochs without ppo": (("--epochs", "4"), "--epochs has no effect without ppo. Add --algorithm ppo"),
    "gae without values": (
        ("--algorithm", "ppo", "--advantages", "returns", "--gae-lambda", "0.9"),
        "--gae-lambda has no effect with --advantages returns, for which the policy learns no values",
    ),
    "minibatches that do not divide": (
        ("--algorithm", "ppo", "--minibatches", "5"),
        "episodes of 128 decisions cannot be divided into 5 minibatches",
    ),
    "unknown factors": (("--factors", "speed"), "unknown factor 'speed'. There are: learning, ppo, gae, curriculum."),
    "minibatches that do not divide with a factor": (
        ("--factors", "ppo", "--minibatches", "5"),
        "episodes of 128 decisions cannot be divided into 5 minibatches",
    ),
    "an option of no factor": (("--factors", "curriculum", "--epochs", "2"), "--epochs has no effect without ppo"),
    "a layer crossed and always on": (
        ("--factors", "ppo", "--layers", "batching", "--with", "batching"),
        "batching cannot be on in every trial, as --with says, and crossed, as --layers says",
    ),
    "a crossed layer that needs another": (
        ("--factors", "ppo", "--layers", "native-features"),
        "native-features cannot be: native-features needs batching. Add batching.",
    ),
    "factors and a design": (("--factors", "learning", "--all"), "--all has no effect beside --factors"),
    "factors of a factor": (
        ("--factors", "learning", "--algorithm", "ppo"),
        "--factors learning itself varies algorithm",
    ),
    "a stage that minibatches do not divide": (
        ("--factors", "learning", "--episode-length", "40"),
        "episodes of 10 decisions cannot be divided into 4 minibatches",
    ),
    "a stage that would be skipped": (
        ("--factors", "learning", "--with", "batching,grad-accumulation"),
        "a curriculum's stage until episode 128 would be skipped with 128 episodes per update. Choose a smaller",
    ),
    "layers of no factors": (("--with", "amp"), "--with is for --factors"),
    "contradiction": (("--all", "--design", "half"), "contradict"),
    "no effect": (("--layers", "amp", "--num-envs", "8"), "--num-envs has no effect without the layer batching"),
    "zero blocks": (("--blocks", "0"), "--blocks must be at least 1"),
    "negative environments": (("--num-envs", "-3"), "--num-envs must be at least 2"),
    "short episode": (("--episode-length", "0"), "--episode-length must be at least 2"),
    "negative seed": (("--seed", "-1"), "--seed must lie between 0 and"),
    "huge seed": (("--seed", "99999999999999999999"), "--seed must lie between"),
    "endless trial": (("--trial-timeout", "inf"), "--trial-timeout must lie between"),
    "no time": (("--trial-timeout", "0"), "--trial-timeout must lie between 1 and"),
    "undefined fraction": (("--layers", "amp,batching", "--design", "quarter"), "quarter is defined for"),
    "resume and more": (("--resume", "run", "--blocks", "2"), "cannot take --blocks"),
    "more blocks of no run": (("--more-blocks", "2"), "--more-blocks adds to an existing run"),
    "unknown backend": (("--compile-backend", "turbo"), "--compile-backend 'turbo' is not known to torch"),
    "missing data": (("--data", "nowhere.csv"), "data file not found: nowhere.csv"),
    "out is a file": (("--out", "file/run"), "--out"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_one_message_with_what_to_do(case: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments, message = BAD[case]
    done = typed("ablate", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "file"]


def test_resuming_nothing_is_said(tmp_path: Path) -> None:
    done = typed("ablate", "--resume", "run", cwd=tmp_path)
    assert (done.returncode, "no run found" in done.stderr) == (1, True)


def test_debug_adds_the_traceback(tmp_path: Path) -> None:
    done = m2bench("ablate", "--debug", "--blocks", "0", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = typed("ablate", "--device", "cuda", "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert "device 'cuda' is not available" in done.stderr
    assert "Use --device" in done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a finished run in ``run``."""
    folder = tmp_path_factory.mktemp("finished")
    done = typed("ablate", "--layers", "amp", *FAKE, "--blocks", "2", "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_folder_with_a_run_is_kept(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    before = rows(tmp_path / "run")
    done = typed("ablate", "--layers", "amp", *FAKE, "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert "--resume run" in done.stderr
    assert rows(tmp_path / "run") == before


def test_trials_that_go_wrong_are_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    faults = (
        "amp=crash,compile=kill,dataloader=idle,vectorized-loss=unsupported,grad-accumulation=diverge,batching=changed"
    )
    layers = ",".join(NOTE)
    done = typed("ablate", "--design", "single", "--layers", layers, *FAKE, "--blocks", "1", "--data", faults,
                 "--out", "run", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {
        "+".join(c["layers"]): (c["status"], c["reason"], c["speedup"])
        for c in summary(tmp_path / "run")["combinations"]
    }
    assert found[""][0] == "ok"
    status, reason = found["amp"][:2]
    assert (status, reason.replace(".again", "")) == ("failed", "RuntimeError: planted crash (log: logs/b1.amp.log)")
    assert "SIGKILL" in found["compile"][1]
    assert found["dataloader"] == ("not-engaged", "dataloader: it did nothing", None)
    assert found["vectorized-loss"] == ("unsupported", "vectorized-loss: not on this planet", None)
    assert found["grad-accumulation"][0] == "failed"
    assert "the gradient of weight is not finite" in found["grad-accumulation"][1]
    assert found["batching"][0] == "ok"
    assert summary(tmp_path / "run")["best"]["layers"] == []  # what changed the numerics is fast, but never best
    assert "gradient: weight is off by 0.5 of its size" in " ".join(done.stdout.split())
    assert "planted crash" in (tmp_path / "run" / "logs" / "b1.amp.log").read_text()
    assert "not on this planet" in done.stdout


def test_a_run_without_any_figure_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = typed(
        "ablate",
        "--layers",
        "amp",
        *FAKE,
        "--data",
        "amp=unsupported,=crash",
        "--blocks",
        "1",
        "--out",
        "out",
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "no combination could be measured" in done.stderr
    assert [status for _, _, status in rows(tmp_path / "out")] == ["failed", "unsupported", "failed"]


def test_a_refused_run_leaves_the_users_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    done = typed("ablate", "--data", "nowhere.csv", "--out", "mine", cwd=tmp_path)
    assert (done.returncode, "not found" in done.stderr) == (1, True)
    assert (tmp_path / "mine").is_dir()
    again = typed("ablate", "--data", "nowhere.csv", "--out", "mine", cwd=tmp_path)
    assert "not found" in again.stderr


def test_two_at_once_are_refused_and_a_killed_run_leaves_no_process_and_repeats_no_trial(tmp_path: Path) -> None:
    asked = ("ablate", "--all", "--layers", "amp,batching", *FAKE, "--blocks", "2", "--out", "run")
    with subprocess.Popen([COMMAND, *asked], cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL) as process:
        # Two trials are stored when the third begins, and the end is seconds away.
        wait_until(lambda: len(list((tmp_path / "run" / "logs").glob("b1.*.log"))) >= 3)
        second = typed("ablate", "--resume", "run", cwd=tmp_path)
        assert workers_of(tmp_path / "run")
        process.kill()
    assert (second.returncode, "another m2bench is running in run" in second.stderr) == (1, True)
    wait_until(lambda: not workers_of(tmp_path / "run"), 10)
    before = rows(tmp_path / "run")
    assert 2 <= len(before) < 10
    interim = typed("report", "run", cwd=tmp_path)
    assert "not run yet" in interim.stdout
    done = typed("ablate", "--resume", "run", "--more-blocks", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = rows(tmp_path / "run")
    assert after[: len(before)] == before
    assert len(after) == len({key for key, _, _ in after})
    assert speed_trials(after) == 15, "of the two blocks that were planned, and of one more"
    assert {status for _, _, status in after} == {"ok"}
    assert len(summary(tmp_path / "run")["combinations"]) == 4


def test_a_run_is_not_resumed_on_another_machine(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    connection = sqlite3.connect(tmp_path / "run" / "results.sqlite", isolation_level=None)
    (text,) = connection.execute("SELECT description FROM run").fetchone()
    description = json.loads(text)
    description["machine"]["chip"] = "another chip"
    connection.execute("UPDATE run SET description = ?", (json.dumps(description),))
    connection.close()
    done = typed("ablate", "--resume", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert "begun with machine chip another chip" in done.stderr


def test_a_layer_that_learns_less_is_found_out(tmp_path: Path) -> None:
    options = ("--all", "--layers", "amp,batching", *FAKE, "--data", "amp=dull", "--out", "run")
    done = typed("ablate", *options, "--learning", "full", "--blocks", "2", cwd=tmp_path, window=QUICK)
    assert done.returncode == 0, done.stderr
    found = summary(tmp_path / "run")
    amp, batching = sorted(found["layers"], key=lambda layer: layer["name"] != "amp")
    assert amp["learning"] == batching["learning"] == "changed"
    assert "learns less" in amp["learning_reason"]
    assert 1 < amp["episodes_needed"] < 2.5
    assert len(found["learning"]["cells"]) == 4
    for c in found["combinations"]:
        assert c["time_to_target_s"] == pytest.approx(60 * c["episodes_to_target"] / c["episodes_per_min"])
    assert found["soonest"]["layers"] == ["batching"]
    assert "batching reaches the learning target first" in " ".join(done.stdout.split())


def test_learning_can_be_left_out(finished: Path) -> None:
    assert not [key for key, _, _ in rows(finished / "run") if key.startswith("learn")]
    assert all(c["time_to_target_s"] is None for c in summary(finished / "run")["combinations"])
    assert "Learning was not measured" in typed("report", "run", cwd=finished).stdout


def test_a_budget_chooses_the_design_by_what_trials_take_here(tmp_path: Path) -> None:
    options = ("--layers", "amp", *FAKE, "--out", "run")
    done = typed("ablate", *options, "--budget", "1h", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "have room for --design full --blocks 3" in done.stdout
    assert speed_trials(rows(tmp_path / "run")) == 3 * 3
    tight = typed("ablate", *options[:-1], "tight", "--budget", "1s", cwd=tmp_path)
    assert tight.returncode == 1
    assert "is too short: the smallest design takes about" in tight.stderr
    assert not (tmp_path / "tight").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--threads", "0", "is not a number of threads"),
        ("--wait-for-quiet", "soon", "--wait-for-quiet 'soon' is not a time"),
    ],
)
def test_threads_and_waiting_are_numbers(option: str, value: str, message: str, tmp_path: Path) -> None:
    done = typed("ablate", *FAKE, option, value, "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_continued_keeps_its_threads_and_may_wait_for_quiet(tmp_path: Path) -> None:
    begun = typed("ablate", *FAKE, "--layers", "amp", "--blocks", "1", "--threads", "3", "--out", "run", cwd=tmp_path)
    assert begun.returncode == 0, begun.stderr
    assert begun.stdout.startswith("Every trial uses 3 threads")
    resumed = typed("ablate", "--resume", "run", "--wait-for-quiet", "1s", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "Every trial uses" not in resumed.stdout
    found = summary(tmp_path / "run")
    assert (found["machine"]["torch_threads"], found["workload"]["spec"]["threads"]) == (3, 3)


def test_a_budget_beside_a_design_is_refused(tmp_path: Path) -> None:
    done = typed("ablate", "--budget", "10m", "--blocks", "2", *FAKE, cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot take --blocks" in done.stderr


def test_figures_are_traced_to_their_trials(finished: Path) -> None:
    done = typed("report", "run", "--trace", "amp", cwd=finished)
    assert done.returncode == 0, done.stderr
    assert "b1.amp" in done.stdout
    assert "b1.anchor0" in done.stdout
    wrong = typed("report", "run", "--trace", "nothing", cwd=finished)
    assert wrong.returncode == 1
    assert "neither a layer of this run nor a combination" in wrong.stderr


def test_an_option_of_another_command_is_said_to_be_one(tmp_path: Path) -> None:
    for option, commands in (("--trace", "report"), ("--metal-capture", "profile"), ("--sweep", ""), ("--nothing", "")):
        done = typed("check", option, "x", cwd=tmp_path)
        assert done.returncode == 1
        assert f"No such option: {option}" in done.stderr
        said = done.stderr.strip().splitlines()[-1]
        assert (said == f"{option} is an option of m2bench {commands}.") is bool(commands)
        assert not (tmp_path / "reports").exists()


def test_a_run_compared_with_itself_shows_no_change(finished: Path) -> None:
    done = typed("compare", "run", "run", "--json", cwd=finished)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["same_machine"]
    assert document["absolute"]["change"] == pytest.approx(1.0)
    assert all(c["change"] == pytest.approx(1.0) for c in document["combinations"])
    assert "The baseline's speed in run over run: 1.00x" in typed("compare", "run", "run", cwd=finished).stdout


def test_the_doctor_times_as_a_run_does() -> None:
    assert WindowSpec() == doctor.WINDOW


def test_the_doctor_says_what_this_machine_can_tell_apart(tmp_path: Path) -> None:
    options = ("doctor", "--seconds", "1", "--workload", "fake_workload")
    done = typed(*options, "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    states = [check["state"] for check in found["checks"]]
    assert done.returncode == (1 if "bad" in states else 0), done.stderr
    assert found["fit"] == ("bad" not in states)
    assert found["trials"] >= 4
    least, most = found["smallest_main_effect_ci"]
    assert 1 < least < found["smallest_main_effect"] < most
    assert set(found["blocks_for"]) == {"2%", "5%", "10%"}
    assert found["window"] == asdict(QUICKER)


APPLE = """
from dataclasses import replace
import fake_workload
from fake_workload import build, prepare


def describe(spec, work):
    described = fake_workload.describe(spec, work)
    return replace(described, device=described.device.with_facts({"gates": []}))  # what a device has that is Apple's
"""


def test_the_doctor_refuses_a_machine_whose_operators_may_fall_back(tmp_path: Path) -> None:
    (tmp_path / "apple.py").write_text(APPLE)
    options = ("doctor", "--seconds", "1", "--workload", "apple")
    paths = os.pathsep.join(map(str, (SUPPORT, tmp_path)))
    done = typed(*options, cwd=tmp_path, PYTORCH_ENABLE_MPS_FALLBACK="1", PYTHONPATH=paths)
    assert done.returncode == 1, done.stdout + done.stderr
    first = done.stdout.splitlines()[:4]
    assert any(line.startswith("PROBLEM") and "PYTORCH_ENABLE_MPS_FALLBACK" in line for line in first)
    assert "before you measure" in done.stdout
    assert "Can it detect one layer alone that changes the speed by 5%?" in done.stdout


def test_layers_tells_what_runs_here(tmp_path: Path) -> None:
    done = typed("layers", "--json", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)["layers"]
    assert [layer["name"] for layer in listed] == list(LAYERS)
    assert next(layer for layer in listed if layer["name"] == "batching")["claim"]["low"] == 10
    assert "1.5-2.5x" in typed("layers", "--device", "cpu", cwd=tmp_path).stdout


def test_train_saves_a_policy_that_loads(tmp_path: Path) -> None:
    done = typed("train", "--with", "batching,vectorized-loss", "--episodes", "64", "--episode-length", "16",
                   "--device", "cpu", "--out", "trained", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "trained" / "train.json").read_text())
    assert result["curve"][0]["episodes"] == 0
    assert result["curve"][-1]["episodes"] == 64
    assert result["proofs"]["batching"]["evidence"] == {"environments_per_forward": [32]}
    saved = torch.load(tmp_path / "trained" / "checkpoint.pt", weights_only=True)
    AsymmetricPolicyNetwork(size=saved["policy"]).load_state_dict(saved["state"])
    assert "of good policy" in done.stdout
    again = typed("train", "--out", "trained", cwd=tmp_path)
    assert again.returncode == 1
    assert "not an empty folder" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--with", "turbo"), "unknown layer 'turbo'"),
        (("--episodes", "0"), "--episodes must be at least 1"),
        (("--with", "amp", "--num-envs", "64"), "no effect without the layer batching"),
        (("--data", "nowhere.csv"), "data file not found"),
    ],
)
def test_a_mistake_in_train_is_said(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = typed("train", *arguments, cwd=tmp_path)
    assert (done.returncode, message in done.stderr) == (1, True)
    assert not list(tmp_path.iterdir())


def test_report_on_something_else_is_refused(tmp_path: Path) -> None:
    assert "no run found" in typed("report", ".", cwd=tmp_path).stderr
    (tmp_path / "results.sqlite").write_text("hello" * 100)
    done = typed("report", ".", cwd=tmp_path)
    assert (done.returncode, "cannot be read" in done.stderr) == (1, True)


def write_candles(path: Path, candles: int) -> None:
    market = synthetic_market(candles=candles)
    columns = zip(market.time // 10**9, market.open, market.high, market.low, market.close, market.volume, strict=True)
    lines = ["time,open,high,low,close,volume", *(",".join(map(str, row)) for row in columns)]
    path.write_text("\n".join(lines) + "\n")


def test_too_few_candles_are_said(tmp_path: Path) -> None:
    write_candles(tmp_path / "short.csv", 500)
    done = typed("ablate", "--data", "short.csv", "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert "short.csv: 500 candles are too few" in done.stderr


def test_a_symbol_stays_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_candles(tmp_path / "mine.csv", 5)
    monkeypatch.chdir(tmp_path)
    typed = ("mine.csv", "mine.csv#BTC/USD", "none.csv#BTC", "synthetic")
    here = f"{tmp_path}/mine.csv"
    located = [here, f"{here}#BTC/USD", "none.csv#BTC", "synthetic"]
    assert [locate_data("--data", data) for data in typed] == located


@pytest.mark.slow
def test_the_real_system_on_a_users_own_candles(tmp_path: Path) -> None:
    write_candles(tmp_path / "mine.csv", 2500)
    (tmp_path / "mine.csv").write_text((tmp_path / "mine.csv").read_text().replace(",volume", ",a"))
    options = ("--layers", "batching", "--design", "stack", "--quick", "--blocks", "1")
    done = typed("ablate", *options, "--episode-length", "16", "--device", "cpu", "--data", "mine.csv", "--out", "run",
                 cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = "mine.csv: there is no volume, so the volume features are 0 throughout."
    assert done.stdout.index(said) < done.stdout.index("batching")
    assert said in (tmp_path / "run" / "report.md").read_text()
    result = summary(tmp_path / "run")
    assert [c["status"] for c in result["combinations"]] == ["ok"] * 2
    assert result["workload"]["market"]["name"] == "mine.csv"
    assert result["workload"]["good_return"] is None
    assert all(c["episodes_per_min"] > 0 for c in result["combinations"])


@pytest.mark.slow
def test_without_a_compiler_compile_is_unsupported_and_a_run_can_begin(tmp_path: Path) -> None:
    """By a launcher of its own: inductor looks for a compiler where the environment said when it was imported."""
    with Launcher(tmp_path, tmp_path / "launcher.log", {"CXX": "/nowhere/c++"}) as launcher:
        described = describe(launcher, WorkloadSpec(device="cpu"), tmp_path)
        launcher.preload_compiler(probe=True)
        assert launcher._compiler_import_s > 0
    why = {layer.name: layer.unsupported for layer in described.layers if layer.unsupported}
    assert why.keys() == {"compile", "compiled-loop", "cuda-graphs"}
    assert "C++ compiler" in why["compile"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None and shutil.which("g++") is None, reason="no C++ compiler here")
def test_compile_compiles(tmp_path: Path) -> None:
    """Without what inductor compiles beforehand to try the vector instructions that this CPU says it has."""
    options = ("--quick", "--blocks", "2", "--learning", "off", "--threads", "1", "--episode-length", "8")
    done = typed("ablate", "--all", "--layers", "compile", *options, "--device", "cpu", "--out", "run", cwd=tmp_path,
                 TORCHINDUCTOR_VEC_ISA_OK="1")  # fmt: skip
    assert done.returncode == 0, done.stderr
    compiled = summary(tmp_path / "run")["combinations"][1]
    assert compiled["status"] == "ok"
    assert compiled["compile_cold_s"] > compiled["compile_s"] > 0


def test_an_interruption_is_said_wherever_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while the names of a trainer's layers are read, before there is a run."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("m2bench.run.describe.named_layers", interrupted)
    done = typed("ablate", "my_trainer.py:train", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
