"""The commands that look at one combination or one machine: profile, audit, forward; as a user runs them."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from commands import interrupted, typed
from made_profile import EPISODE

from m2bench.errors import UserError
from m2bench.inspect.audit import Audited, show_audit
from m2bench.inspect.predictions import predictions
from m2bench.inspect.profile import publish
from m2bench.inspect.profile_records import ProfiledSide, ProfileFindings
from m2bench.records.documents import read
from m2bench.records.inspected import AuditFindings, Written
from m2bench.text.console import plain_console

ABSENT = "cuda" if torch.backends.mps.is_available() else "mps"  # no machine has both


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("profile")
    # On the CPU, whose operators are known; some devices have others for the same.
    options = ("--layer", "vectorized-loss", "--with", "batching", "--num-envs", "4", "--episode-length", "16")
    done = typed("profile", *options, "--device", "cpu", "--quick", "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run", done.stdout


def test_a_profile_explains_one_layer_of_the_real_system(profiled: tuple[Path, str]) -> None:
    folder, printed = profiled
    found: dict[str, Any] = json.loads((folder / "profile.json").read_text())
    assert found["before"]["layers"] == ["batching"]
    assert found["after"]["layers"] == ["batching", "vectorized-loss"]
    for side in (found["before"], found["after"]):
        assert {"feed", "forward", "draw", "environment", "loss", "backward", "clip", "optimizer"} <= set(
            side["phases_ms"]
        )
        assert side["counts_repeat"]
        assert all(each["other_cores"] >= 0 for each in side["conditions"])
        assert len(side["conditions"]) == len(side["undisturbed_each_ms"])
        assert side["peak_memory_mb"]["forward"] > 0
        assert "aten::addmm" in side["operators"]
        # The picture is of one whole update, up to the optimizer's step.
        drawn = [name for name, _, _ in side["timeline"]]
        assert set(drawn) == set(side["phases_ms"])
        assert drawn.count("optimizer") >= 2
        assert side["episodes_per_update"] == 4
    # The plain loss multiplies and adds 16 times an episode, forwards and backwards; the vectorized one does not.
    counts = [side["counts"]["per_episode"]["dispatches"] for side in (found["before"], found["after"])]
    assert counts[0] - counts[1] > 4 * 16
    assert all(sentence in " ".join(printed.split()) for sentence in found["sentences"])
    assert "Where the time of one episode goes: batching -> batching+vectorized-loss" in printed


def test_the_traces_and_the_picture_can_be_opened(profiled: tuple[Path, str]) -> None:
    folder, _ = profiled
    found = json.loads((folder / "profile.json").read_text())
    for side in ("before", "after"):
        with gzip.open(found[side]["files"]["trace"]) as trace:
            names = {event.get("name") for event in json.load(trace)["traceEvents"]}
        assert {"phase.forward", "phase.loss", "aten::addmm"} <= names
        flames = json.loads(Path(found[side]["files"]["flame_graph"]).read_text())
        assert flames["$schema"].startswith("https://www.speedscope.app/")
    assert (folder / "timeline.png").read_bytes().startswith(b"\x89PNG")


def profile_in(folder: Path) -> ProfileFindings:
    """What was written there, but for the sides' predictions, which follow from the sides."""
    document = json.loads((folder / "profile.json").read_text())
    for side in ("before", "after"):
        document[side]["files"] = {kind: {"path": path} for kind, path in document[side]["files"].items()}
    before, after = read(ProfiledSide, document["before"]), read(ProfiledSide, document["after"])
    told = {name: document[name] for name in ("warnings", "sentences", "peak_flops", "machine", "workload")}
    return ProfileFindings(
        before=before, after=after, predictions=predictions(before, after), metal_capture=None, **told
    )


def test_a_full_disk_costs_a_profile_its_files_and_not_what_it_found(
    profiled: tuple[Path, str], tmp_path: Path
) -> None:
    found = profile_in(profiled[0])
    console = plain_console(width=80, file=io.StringIO())
    with pytest.raises(UserError, match=r"profile\.json cannot be written: No such file or directory"):
        publish(found, EPISODE, tmp_path / "nowhere", console)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "Where the time of one episode goes: batching -> batching+vectorized-loss" in shown
    assert all(sentence in " ".join(shown.split()) for sentence in found.sentences)
    # The figures have room, a trace had none.
    lost = Written("trace", "[Errno 28] No space left on device")
    found = replace(found, before=replace(found.before, files={**found.before.files, "trace": lost}))
    with pytest.raises(UserError, match=r"before trace not written: .* No space left on device\. Free some disk space"):
        publish(found, EPISODE, tmp_path, console)
    assert (tmp_path / "profile.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "there is nothing to profile. Name a layer with --layer"),
        (("--layer", "batchin"), "unknown layer 'batchin'"),
        (("--with", "amp", "--against", "amp"), "both sides are amp"),
        (("--layer", "amp", "--device", "cpu", "--metal-capture", "x.gputrace"), "--metal-capture needs an Apple GPU"),
        (("--layer", "amp", "--data", "amp=unsupported", "--workload", "fake_workload"), "layer amp cannot run here"),
        (("--layer", "amp", "--data", "amp=crash", "--workload", "fake_workload"), "amp cannot be profiled"),
        (("--layer", "amp", "--data", "amp=idle", "--workload", "fake_workload"), "a layer was not at work: amp"),
    ],
)
def test_a_mistake_in_profile_is_said(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = typed("profile", *options, "--quick", cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_audit_of_the_real_loop_finds_no_blocker_and_the_waits(tmp_path: Path) -> None:
    options = ("audit", "--target", "mps", "--layers", "batching,vectorized-loss", "--episode-length", "4")
    done = typed(*options, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["blockers"] == []
    assert len(found["combinations"]) == 4
    supports = {o["operator"]: o["support"] for o in found["operators"]}
    assert (supports["addmm"], supports["_fused_adam_"]) == ("kernel", "kernel")
    waits = {"+".join(c["layers"]): c["syncs_per_episode"] for c in found["combinations"]}
    assert waits["batching+vectorized-loss"] == 0
    assert waits[""] >= 4  # one per step
    assert any("baselines/rollout.py" in line and "argmax" in line for line in found["lines"]["syncs"])
    console = plain_console(width=200, file=io.StringIO())
    findings = read(AuditFindings, found)
    show_audit(Audited(findings, EPISODE, "--episode-length 4"), console)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "Nothing blocks training on mps" in shown
    assert "counted with --episode-length 4" in " ".join(shown.split())


def test_forward_passes_are_timed_drawn_and_compared(tmp_path: Path) -> None:
    options = ("--device", "cpu", "--passes", "20", "--batches", "1,64", "--compile-backend", "aot_eager")
    done = typed("forward", *options, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run" / "forward.json").read_text())
    timed = found["devices"]["cpu"]
    assert {(t["batch"], t["precision"], t["compiled"]) for t in timed} == {
        (batch, precision, compiled)
        for batch in (1, 64)
        for precision in ("float32", "amp bfloat16")
        for compiled in (False, True)
    }
    assert all(0 < t["ms_least"] <= t["ms"] <= t["ms_most"] for t in timed)
    assert (tmp_path / "run" / "forward.png").read_bytes().startswith(b"\x89PNG")
    assert "ms per forward pass on cpu" in done.stdout
    assert found["conditions"]["cpu"]["other_cores"] >= 0
    assert done.stdout.count("Warning: ") == len(found["warnings"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--batches", "1,x"), "'x' is not a batch size"),
        (("--batches", ","), "--batches names no batch size"),
        (("--passes", "1"), "--passes must lie between 5 and"),
        (("--device", ABSENT), f"device '{ABSENT}' is not available"),
    ],
)
def test_a_mistake_in_forward_is_said(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = typed("forward", *options, cwd=tmp_path)
    assert (done.returncode, message in done.stderr) == (1, True)
    assert not (tmp_path / "reports").exists()


def test_an_interrupted_profile_leaves_nothing(tmp_path: Path) -> None:
    workers: list[psutil.Process] = []

    def hangs() -> bool:
        """Whether the second side is under way; and which processes there are then, in the folder that is its own."""
        if (tmp_path / "run" / "after.log").exists():
            children = psutil.Process().children(recursive=True)
            launchers = [each for each in children if each.cwd().startswith(f"{tempfile.gettempdir()}/m2bench-")]
            workers[:] = [each for launcher in launchers for each in (launcher, *launcher.children())]
        return len(workers) >= 2  # and their launcher

    options = ("--layer", "amp", "--workload", "fake_workload", "--data", "amp=hang", "--quick", "--out", "run")
    done = interrupted("profile", *options, cwd=tmp_path, when=hangs)
    assert done.returncode == 130
    assert "interrupted; nothing was saved" in done.stderr
    assert not (tmp_path / "run").exists()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
