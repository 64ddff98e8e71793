"""A run is continued only with the machine, the torch and the trainer that it was begun with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import STARTED, description_document
from users_code import in_folder, loaded, workload

from m2bench.errors import UserError
from m2bench.records.description import Description
from m2bench.records.documents import read, to_json
from m2bench.records.results import TrialResult
from m2bench.records.spec import TrialSpec, WindowSpec, WorkloadSpec
from m2bench.run.resuming import refuse_another, refuse_changed_imports
from m2bench.store.sources import LARGEST, Sources, sources_of, unchanged
from m2bench.store.stored_trial import StoredTrial
from m2bench.systems.command.options import CommandOptions
from m2bench.systems.command.system import CommandProgram
from m2bench.worker.trial import run_trial

RUN = Path("run")
TRAINER = "import helper\nimport torch\n\ndef train(*, amp=False, seed=0):\n    while True:\n        yield {unit}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with in_folder(tmp_path):
        yield tmp_path


def described(sources: Sources, unit: str = "samples") -> Description:
    found = read(Description, description_document(("amp",)))
    system = replace(found.system, unit=replace(found.system.unit, many=unit))
    return replace(found, workload=found.workload.with_facts({"sources": sources}), system=system)


def of_function(unit: str = "8") -> Description:
    """As the function is described by a worker of its own, in which nothing has been imported."""
    Path("helper.py").touch()
    with in_folder(Path.cwd()):
        found = loaded(TRAINER.replace("{unit}", unit)).describe(WorkloadSpec(), Path())
    return described(found.workload.sources, found.system.unit.many)


def of_command(command: str, *toggles: str) -> Sources:
    return CommandProgram(CommandOptions(command=command, toggle=toggles)).describe().workload.sources


def test_a_function_is_known_by_its_file_and_the_users_modules_that_it_imports(folder: Path) -> None:
    (folder / "unused.py").touch()
    before = of_function()
    assert [*before.workload.sources] == ["helper.py", "my_trainer.py"]
    refuse_another(RUN, before, of_function())
    (folder / "helper.py").write_text("RATE = 0.1\n")
    with pytest.raises(UserError, match=r"run was begun before helper.py was changed. .* begin a new run, or"):
        refuse_another(RUN, before, of_function())
    (folder / "helper.py").write_text("")
    refuse_another(RUN, before, of_function())
    with pytest.raises(UserError, match=r"begun before my_trainer.py was changed"):
        refuse_another(RUN, before, of_function("9"))


def test_another_unit_is_refused() -> None:
    with pytest.raises(UserError, match=r"run counts samples, and now the trainer counts tokens"):
        refuse_another(RUN, described({}), described({}, "tokens"))


def test_a_run_of_an_earlier_version_that_tells_of_no_files_is_continued() -> None:
    refuse_another(RUN, described({}), described({"my_trainer.py": "1f"}))


def test_a_file_that_is_gone_is_refused() -> None:
    with pytest.raises(UserError, match=r"begun before train.py was changed"):
        refuse_another(RUN, described({"train.py": "1f"}), described({}))


@pytest.mark.parametrize(
    ("command", "toggles"),
    [
        ("python train.py --config=big.yaml --steps 3", ("amp=--amp",)),
        ("python train.py", ("big=--config big.yaml",)),
        ("cd . && python 'train.py' <big.yaml", ("amp=env:AMP=1",)),
        ("python train.py --config small.yaml", ("big=small.yaml|big.yaml",)),
    ],
)
def test_a_command_is_known_by_the_files_that_its_words_name(folder: Path, command: str, toggles: tuple[str]) -> None:
    for name in ("train.py", "big.yaml", "other.py"):
        (folder / name).write_text(name)
    assert [*of_command(command, *toggles)] == ["big.yaml", "train.py"]


def test_what_the_command_writes_itself_is_none_of_its_files(folder: Path) -> None:
    for name in ("train.py", "log.txt"):
        (folder / name).write_text("before")
    before = of_command("python train.py --log log.txt", "amp=--amp")
    assert [*before] == ["log.txt", "train.py"]
    (folder / "log.txt").write_text("after")
    assert [*unchanged(before, folder)] == ["train.py"]


def test_data_and_folders_are_left_alone(folder: Path) -> None:
    with (folder / "data").open("wb") as data:
        data.truncate(LARGEST + 1)
    assert sources_of([folder / "data", folder, Path("absent"), Path("a" * 5000), Path("\0")], folder) == {}


LAZY = """
def train(*, fast=False, seed=0):
    if fast:
        import kernels
    while True:
        yield 8
"""
WINDOW = WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=3, timed_most_s=0, timed_error=0)


def trial_of(*layers: str) -> StoredTrial:
    """Of the trainer in this folder, by a worker of its own."""
    with in_folder(Path.cwd()):
        found, spec = workload(LAZY)
        trial = TrialSpec("key", layers, 1, seed=0)
        return StoredTrial(trial, STARTED, 1.0, "ok", None, None, run_trial(found, spec, Path(), trial, WINDOW))


def test_what_only_a_layer_imports_belongs_to_the_trainer_as_well(folder: Path) -> None:
    for name in ("kernels.py", "unused.py"):
        (folder / name).touch()
    plain, fast = trial_of(), trial_of("fast")
    assert [*plain.timed.sources] == ["my_trainer.py"]
    assert [*fast.timed.sources] == ["kernels.py", "my_trainer.py"]
    refuse_changed_imports(RUN, [plain, fast], folder)
    (folder / "kernels.py").write_text("FAST = True\n")
    refuse_changed_imports(RUN, [plain], folder)
    with pytest.raises(UserError, match=r"run was begun before kernels.py was changed"):
        refuse_changed_imports(RUN, [plain, fast], folder)
    assert read(TrialResult, to_json(fast.timed)).sources == fast.timed.sources


@pytest.mark.parametrize(
    "command", ["python -m package --steps 3", "python -m package.training", "cd . && exec python3 -m package.training"]
)
def test_a_command_that_runs_a_package_is_known_by_its_files(folder: Path, command: str) -> None:
    for name in ("package/__init__.py", "package/training.py", "package/layers/norm.py", "other/train.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert [*of_command(command, "amp=env:AMP=1")] == [
        "package/__init__.py", "package/layers/norm.py", "package/training.py",
    ]  # fmt: skip


def test_a_command_that_runs_a_module_is_known_by_its_file(folder: Path) -> None:
    for name in ("training.py", "amp.py"):
        (folder / name).touch()
    assert [*of_command("python -m training -v -m", "amp=--amp")] == ["training.py"]
    assert of_command("python -m installed_package", "amp=--amp") == {}
