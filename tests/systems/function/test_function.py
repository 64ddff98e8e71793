"""A user's function as the system under test: what is read of it, and what is said where it is not quite right."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from users_code import in_folder, loaded, workload

from m2bench.errors import TrainerError, TrainingEnded, UserError
from m2bench.records.description import Unit
from m2bench.records.documents import to_json
from m2bench.records.rules import Rules
from m2bench.records.spec import TrialSpec, WindowSpec, WorkloadSpec
from m2bench.systems.function.yields import read_yield, singular
from m2bench.worker.profiling import profile_combination
from m2bench.worker.trial import run_trial

COUNTED = WindowSpec(warmup_s=0, warmup_updates=1, timed_s=0, timed_updates=3, timed_most_s=0, timed_error=0)
"""A trial takes seven updates: four up to the one that is looked at, and three that are timed."""
PLAIN = "def train(*, amp=False, device='cpu', seed=0):\n    while True:\n        yield 32\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Bytecode of a file that is written anew within the same second, as long as before, is taken for that of the new.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with in_folder(tmp_path):
        yield tmp_path


def described(source: str) -> dict[str, Any]:
    return to_json(loaded(source).describe(WorkloadSpec(), Path()))


def trial(source: str, layers: tuple[str, ...] = (), window: WindowSpec = COUNTED) -> Any:
    found, spec = workload(source)
    return run_trial(found, spec, Path(), TrialSpec("key", layers, 1, seed=5), window)


# What is read of it.


def test_parameters_that_default_to_false_are_the_layers_in_their_order() -> None:
    source = "def train(first=False, lr=0.1, on=True, *, last=False, device='cpu', seed=False, **more):\n    yield 1\n"
    assert loaded(source).layers(WorkloadSpec()) == ("first", "last")


def test_layers_device_and_seed_are_passed_and_all_else_is_as_it_was() -> None:
    source = """
seen = []
def train(amp=False, fused=False, lr=0.1, *, device='elsewhere', seed=0):
    seen.append((amp, fused, lr, device, seed))
    yield 1
"""
    system = loaded(source, device="cpu").build(WorkloadSpec(device="cpu"), Path(), ("fused",), 7)
    system.update()
    assert sys.modules["my_trainer"].seen == [(False, True, 0.1, "cpu", 7)]


def test_a_function_of_a_package_is_found_from_the_users_folder(folder: Path) -> None:
    (folder / "pack").mkdir()
    (folder / "pack" / "training.py").write_text(PLAIN)
    assert loaded("", "pack.training:train").layers(WorkloadSpec()) == ("amp",)


def test_the_module_that_was_named_speaks_of_a_function_that_comes_from_another(folder: Path) -> None:
    (folder / "elsewhere.py").write_text(PLAIN)
    found = loaded("from elsewhere import train\nUNITS = 'tokens'\n").describe(WorkloadSpec(), folder)
    assert found.system.unit == Unit("token", "tokens")


def test_decorated_and_completed_functions_are_what_they_were_made_of() -> None:
    source = (
        PLAIN + "import functools, torch\nquiet = torch.no_grad()(train)\npart = functools.partial(train, seed=3)\n"
    )
    assert loaded(source, "my_trainer.py:quiet").layers(WorkloadSpec()) == ("amp",)
    assert loaded(source, "my_trainer.py:part").layers(WorkloadSpec()) == ("amp",)


def test_it_finds_no_words_and_its_own_folder(folder: Path) -> None:
    (folder / "data.txt").write_text("here")
    source = "import sys\nassert len(sys.argv) == 1\nwith open('data.txt'):\n    pass\n" + PLAIN
    assert described(source)["layers"][0]["name"] == "amp"


@pytest.mark.parametrize(
    ("draws", "repeats"),
    [("random.Random(seed).random()", True), ("random.random()", False), ("None", None)],
    ids=["seeded", "unseeded", "nothing told"],
)
def test_a_trainer_that_ignores_its_seed_is_found_before_the_run(draws: str, repeats: bool | None) -> None:
    source = f"""
import random
def train(*, amp=False, seed=0):
    while True:
        yield {{"samples": 1, "loss": {draws}}}
"""
    assert described(source)["workload"]["repeats_itself"] is repeats


def test_the_description_says_what_the_function_and_its_module_say() -> None:
    source = '''
UNITS = "batches"
CLAIMS = {"amp": (1.5, 2), "fused": "1.1x to 1.3x, they say", "compile": 2}
CONTRACTS = {"amp": 0.02, "fused": "exact"}
NEEDS = {"fused": "compile"}
EXCLUDES = {"amp": ["fused", "compile"]}
def train(*, amp=False, fused=False, compile=False, quick=True):
    """Trains a lot.

    Slowly.
    """
    while True:
        yield 3
'''
    found = described(source)
    assert found["system"]["facts"] == {"trainer": "my_trainer.py:train", "what it trains": "Trains a lot."}
    assert found["system"]["unit"] == {"one": "batch", "many": "batches"}
    assert found["system"]["rate"] == {
        "label": "batches/s",
        "factor": 1 / 60,
        "lower_is_better": False,
        "is_metric": False,
    }
    layers = {layer["name"]: layer for layer in found["layers"]}
    claims = {name: (c["claim"]["low"], c["claim"]["high"], c["claim"]["text"]) for name, c in layers.items()}
    assert claims == {
        "amp": (1.5, 2.0, "1.5-2x"),
        "fused": (1.1, 1.3, "1.1x to 1.3x, they say"),
        "compile": (2.0, 2.0, "2x"),
    }
    assert (layers["amp"]["loss_tolerance"], layers["fused"]["loss_tolerance"]) == (0.02, None)
    rules = loaded(source).rules(WorkloadSpec())
    assert rules == Rules(needs=(("fused", "compile"),), excludes=(("amp", "fused"), ("amp", "compile")))
    remarks = " ".join(found["workload"]["market_remarks"])
    assert "quick defaults to True and is always on" in remarks
    assert "train takes no seed" in remarks


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("CONTRACT = {'amp': 0.02}", "CONTRACTS"),
        ("UNIT = 'tokens'", "UNITS"),
        ("CLIAMS = {'amp': '2x'}", "CLAIMS"),
        ("TARGETS = {'loss': 0.3}", "TARGET"),
        ("NEED = EXCLUDE = {}", "NEEDS EXCLUDES"),
        ("SEEDS = [1, 2]; BATCH = 32; units = 'tokens'", ""),
        ("UNITS = 'tokens'; UNIT = 'token'", ""),
    ],
)
def test_a_name_that_is_nearly_one_that_is_read_is_not_passed_over_in_silence(written: str, meant: str) -> None:
    told = [remark for remark in described(f"{written}\n{PLAIN}")["workload"]["market_remarks"] if "not read" in remark]
    assert len(told) == len(meant.split())
    for remark, name in zip(told, meant.split(), strict=True):
        assert remark.startswith("my_trainer.py: ")
        assert f"if {name} is meant, rename it." in remark


# What is yielded.


@pytest.mark.parametrize(
    ("found", "unit", "units"),
    [
        (None, "updates", 1),
        (32, "samples", 32),
        (torch.tensor(7), "samples", 7),
        ({}, "updates", 1),
        ({"loss": 0.5}, "updates", 1),
        ({"tokens": 4096, "return": None}, "tokens", 4096),
    ],
)
def test_what_is_counted(found: Any, unit: str, units: float) -> None:
    counted, told = read_yield(found)
    assert (counted, told.units) == (unit, units)


def test_loss_and_return_do_not_change_with_what_they_are_read_from() -> None:
    loss = torch.nn.Parameter(torch.tensor(0.25))
    _, told = read_yield({"samples": 1, "loss": loss * 2, "return": torch.ones(1)})
    assert (told.loss, told.mean_return) == (0.5, 1.0)
    buffer = torch.tensor(3.0)
    _, told = read_yield({"loss": buffer})
    buffer.zero_()  # as the next update may
    assert told.loss == 3.0


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (torch.tensor(0.69), "which is not a number of samples: yield a whole number"),
        (0.69, "yields 0.69, which is not a number of samples"),
        (21.0, "yields 21.0, which is not a number of samples"),  # a return, say
        (True, "yields True, which is not a number of samples"),
        (0, "yields 0, which is not a number"),
        (-3, "yields -3, which is not a number"),
        ("done", "yields 'done', which is not a number"),
        ((32, 0.5), r"yields \(32, 0.5\), which is not a number"),
        (torch.ones(3), r"yields a tensor of shape \(3,\), which is not a number of samples"),
        ({"samples": 0.5}, "yields 0.5, which is not a number of samples"),
        ({"samples": 32, "lr": 0.1}, "yields 'samples', 'lr' beside 'loss' and 'return', and one count is read"),
        ({"loss": "low"}, "yields 'low' as 'loss', which is not a number"),
        ({"loss": torch.ones(3)}, r"yields a tensor of shape \(3,\) as 'loss'"),
    ],
)
def test_nonsense_is_refused(found: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_yield(found)


def test_the_line_of_a_yield_that_is_nonsense_is_named() -> None:
    source = "def train(a=False):\n    yield 1\n    for _ in range(9):\n        yield 'nothing'\n"
    system = loaded(source).build(WorkloadSpec(), Path(), (), 0)
    system.told(system.update())
    found = system.update()
    with pytest.raises(TrainerError, match=r"train yields 'nothing', .* \(my_trainer.py:4\)"):
        system.told(found)


def test_another_unit_than_before_or_than_without_layers_is_refused() -> None:
    changing = "def train(a=False):\n    yield 1\n    yield {'tokens': 5}\n    yield 1\n"
    with pytest.raises(UserError, match=r"counts tokens here, and samples elsewhere.*my_trainer.py:3"):
        described(changing)
    with_layer = "def train(a=False):\n    while True:\n        yield {'steps': 5} if a else {'episodes': 1}\n"
    described(with_layer)
    assert set(trial(with_layer).update_units) == {1.0}
    with pytest.raises(TrainerError, match="counts steps here, and episodes elsewhere"):
        trial(with_layer, ("a",))


def test_numbers_of_units_may_vary() -> None:
    """The fifth, sixth and seventh update are timed: 5, 6 and 7 samples."""
    found = trial(
        "import time\ndef train(a=False):\n    for n in range(1, 9):\n        time.sleep(0.01)\n        yield n\n"
    )
    assert found.update_units == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
    assert found.window_units == (5.0, 6.0, 7.0)
    assert found.episodes_per_min == pytest.approx(60 * 18 / sum(found.update_s))


def test_losses_and_returns_of_all_updates_are_told() -> None:
    source = "def train(a=False):\n    for n in range(9):\n        yield {'samples': 2, 'loss': n / 2, 'return': -n}\n"
    found = trial(source)
    assert found.losses == (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
    assert found.training_return == (0.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0)


def test_updates_that_tell_nothing_keep_their_place() -> None:
    told = "{'samples': 2, 'loss': n} if n % 2 else {'samples': 2}"
    found = trial(f"def train(a=False):\n    for n in range(9):\n        yield {told}\n")
    assert (found.losses, found.training_return) == ((None, 1.0, None, 3.0, None, 5.0, None), ())


def test_a_loss_that_is_not_finite_names_its_update() -> None:
    told = "{'samples': 2, 'loss': float('inf') if n == 2 else 1.0}"
    with pytest.raises(FloatingPointError, match=r"update 3: the loss is not finite \(inf\) \(my_trainer.py:3\)"):
        trial(f"def train(a=False):\n    for n in range(9):\n        yield {told}\n")


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("{'loss': 0.3}", {"measure": "loss", "return": 0.3, "first_units": 32.0}),
        ("{'return': -5}", {"measure": "return", "return": -5.0, "first_units": 32.0}),
    ],
)
def test_the_target_is_what_the_module_names(target: str, found: dict[str, Any]) -> None:
    source = "def train(a=False):\n    while True:\n        yield {'samples': 32, 'loss': 1.0}\n"
    document = described(f"TARGET = {target}\n{source}")
    assert document["workload"]["target"] == found
    assert document["system"]["no_target_because"] is None
    untold = described(source)
    assert untold["workload"]["target"] is None
    assert "names no TARGET" in untold["system"]["no_target_because"]


@pytest.mark.parametrize("target", ["0.3", "{'accuracy': 0.9}", "{'loss': 0.3, 'return': 1}", "{'loss': 'low'}", "{}"])
def test_a_target_that_is_none_is_refused(target: str) -> None:
    with pytest.raises(UserError, match=r"my_trainer.py: TARGET is .* M2bench reads there what training is to reach"):
        described(f"TARGET = {target}\ndef train(a=False):\n    yield 1\n")


def test_a_target_of_a_loss_that_is_not_yielded_is_refused() -> None:
    with pytest.raises(UserError, match=r"the TARGET is a loss, and .*train yields none. Let it yield {'samples': 3, "):
        described("TARGET = {'loss': 1}\ndef train(a=False):\n    while True:\n        yield 3\n")


@pytest.mark.parametrize(
    ("many", "one"),
    [("samples", "sample"), ("batches", "batch"), ("entries", "entry"), ("boxes", "box"), ("classes", "class"),
     ("passes", "pass"), ("data", "data")],
)  # fmt: skip
def test_the_word_for_one(many: str, one: str) -> None:
    assert singular(many) == one


# A trainer that ends.


def yields(count: int) -> str:
    return f"def train(a=False):\n    for _ in range({count}):\n        yield 2\n"


def test_what_was_timed_before_the_end_is_used() -> None:
    """Of ten updates four come before; the other six are timed, where a minute was asked for."""
    window = WindowSpec(warmup_s=0, warmup_updates=1, timed_s=60, timed_updates=3, timed_most_s=60, timed_error=0.01)
    found = trial(yields(10), window=window)
    assert len(found.update_s) == 6
    assert found.counts is None


def test_a_trainer_that_ends_too_early_is_told_how_much_is_needed() -> None:
    assert len(trial(yields(7)).update_s) == 3
    message = (
        r"train ended after 6 updates \(my_trainer.py:1\), and a trial needs more: at least 7 updates, of which the "
        "last 3 or more are"
    )
    with pytest.raises(TrainerError, match=message):
        trial(yields(6))


def test_one_that_yields_once_or_never_is_refused_before_the_run() -> None:
    with pytest.raises(UserError, match=r"fails without any layer: train ended after 1 update \(my_trainer.py:1\)\."):
        described(yields(1))
    with pytest.raises(UserError, match=r"train ended without a yield \(my_trainer.py:1\): let it yield after"):
        described(yields(0))


# What its code raises.

HELPER = """
import torch
def train(*, broken=False):
    model = torch.nn.Linear(3, 2)
    while True:
        step(model, 5 if broken else 3)
        yield 1
def step(model, width):
    return model(
        torch.ones(1, width))
"""


def test_the_last_line_of_the_users_code_is_named_and_not_one_of_torch() -> None:
    with pytest.raises(TrainerError, match=r"^RuntimeError: mat1 and mat2 .* \(my_trainer.py:9: return model\(\)$"):
        trial(HELPER, ("broken",))
    assert len(trial(HELPER).update_s) == 3


def test_a_first_loss_that_is_no_number_is_refused_before_the_run_with_its_line() -> None:
    source = "def train(a=False):\n    while True:\n        yield {'samples': 1, 'loss': float('nan')}\n"
    message = r"fails without any layer: update 1: the loss is not finite \(nan\) \(my_trainer.py:3\)\. Correct it"
    with pytest.raises(UserError, match=message):
        described(source)


def test_where_it_fails_without_any_layer_the_run_does_not_begin() -> None:
    source = "def train(a=False):\n    yield 1\n    raise OSError('no such\\nplace')\n"
    message = (
        r"^my_trainer.py:train fails without any layer: OSError: no such \(my_trainer.py:3: raise .*\)\. Correct it"
    )
    with pytest.raises(UserError, match=message):
        described(source)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("input()", r"EOFError: EOF when reading a line \(my_trainer.py:2: input\(\)\)"),
        ("raise SystemExit(3)", r"it ends the program: sys.exit\(3\) \(my_trainer.py:2"),
        (
            "import nothing_of_that_name",
            r"ModuleNotFoundError: No module named 'nothing_of_that_name' \(my_trainer.py:2",
        ),
        ("next(iter(()))", r"RuntimeError: generator raised StopIteration \(my_trainer.py:2: next\(iter\(\(\)\)\)\)"),
        ("raise ValueError('a heading:\\n  and more')", r"ValueError: a heading: and more \(my_trainer.py:2"),
        ("raise ValueError", r"ValueError: \(no message\) \(my_trainer.py:2"),
    ],
)
def test_whatever_it_raises_is_one_message(statement: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())  # at its end, as that of a worker
    with pytest.raises(UserError, match=message) as found:
        described(f"def train(a=False):\n    {statement}\n    yield 1\n")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def train(a=False)\n    yield 1\n", r"my_trainer.py cannot be imported: SyntaxError: .* \(my_trainer.py:1\)"),
        ("import sys\nsys.exit('bye')\n", r"it ends the program: sys.exit\('bye'\) \(my_trainer.py:2: sys.exit"),
        ("import nothing_there\n", r"No module named 'nothing_there' \(my_trainer.py:1: import nothing_there\)"),
        ("x = 1\nx.y\n", r"AttributeError: .* \(my_trainer.py:2: x.y\)"),
        ("import argparse\nargparse.ArgumentParser().parse_args(['--x'])\n", r"sys.exit\(2\) \(my_trainer.py:2: argp"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_its_line(source: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        loaded(source)


def test_an_error_of_an_imported_file_names_that_file(folder: Path) -> None:
    (folder / "parts.py").write_text("\n\nimport no_such_thing\n")
    with pytest.raises(UserError, match=r"\(parts.py:3: import no_such_thing\)"):
        loaded("import parts\n" + PLAIN)


def test_a_file_of_a_package_is_to_be_named_as_its_module(folder: Path) -> None:
    (folder / "pack").mkdir()
    (folder / "pack" / "model.py").write_text("")
    (folder / "pack" / "training.py").write_text("from . import model\n" + PLAIN)
    with pytest.raises(UserError, match=r"Name it as a module of its package: pack.training:train\."):
        loaded("", "pack/training.py:train")
    assert loaded("", "pack.training:train").layers(WorkloadSpec()) == ("amp",)


def test_an_interruption_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        trial("def train(a=False):\n    yield 1\n    raise KeyboardInterrupt\n")


# One that is almost right.

NOT_QUITE = {
    "no function of that name": (
        "def learn(a=False):\n    yield 1\ndef helper(): ...\n",
        r"my_trainer.py has no function train. It has: my_trainer.py:learn\.",
    ),
    "no generator at all": ("def main(): ...\n", r"no function train. It has main, of which none is a generator"),
    "an empty file": ("", "It has no function at all"),
    "no yield": (
        "def train(a=False):\n    for batch in data:\n        env.step(1)\n        optimizer.step()\n",
        r"my_trainer.py:1: train is no generator: it has no yield. Add one after the optimizer's step "
        r"\(my_trainer.py:4: optimizer.step\(\)\), inside the loop: yield len\(batch\)",
    ),
    "no yield and no step": ("\ndef train(a=False): ...\n", "my_trainer.py:2: .* Add one after every optimizer step"),
    "async": ("async def train(a=False):\n    yield 1\n", "my_trainer.py:1: train is async. Write it with a plain def"),
    "a class": ("class train:\n    def step(self): ...\n", r"is a class \(my_trainer.py:1\). Name a function"),
    "a lambda": ("train = lambda a=False: 1\n", "my_trainer.py:1: train is no generator"),
    "a number": ("train = 5\n", "my_trainer.py:train is no function, but 5"),
    "a function of C": ("from math import sqrt as train\n", "is no function, but <built-in function sqrt>"),
    "nothing to switch": ("def train(lr=0.1):\n    yield 1\n", "py:1: train has no parameter that defaults to False"),
    "switched on for good": (
        "def train(amp=True, fused=True):\n    yield 1\n",
        "nothing to switch on. Let amp, fused default to False there.",
    ),
    "a parameter without a value": (
        "def train(\n    data,\n    amp=False,\n):\n    yield 1\n",
        "my_trainer.py:2: train needs a value for data, and m2bench gives it only device, seed and its layers",
    ),
    "positional only": ("def train(amp=False, /):\n    yield 1\n", "py:1: train cannot be given amp by its name"),
    "called as the baseline": ("def train(baseline=False):\n    yield 1\n", "calls a parameter baseline, as the"),
    "units": ("UNITS = 64\n" + PLAIN, "my_trainer.py: UNITS is 64. M2bench reads there what"),
    "a claim of nobody": ("CLAIMS = {'x': 2}\n" + PLAIN, "my_trainer.py: CLAIMS names 'x'. The layers are amp"),
    "a claim of nothing": ("CLAIMS = {'amp': 'fast'}\n" + PLAIN, r"CLAIMS\['amp'\] is 'fast'. Write it as in "),
    "a claim upside down": ("CLAIMS = {'amp': (2, 1)}\n" + PLAIN, r"CLAIMS\['amp'\] is \(2, 1\)"),
    "claims of no layers": ("CLAIMS = 'twice'\n" + PLAIN, "CLAIMS is 'twice'. M2bench reads there a dict"),
    "a contract in words": ("CONTRACTS = {'amp': 'near'}\n" + PLAIN, r"CONTRACTS\['amp'\] is 'near'"),
    "a contract of nothing": ("CONTRACTS = {'amp': None}\n" + PLAIN, r"CONTRACTS\['amp'\] is None"),
    "needs what is not there": ("NEEDS = {'amp': 'gpu'}\n" + PLAIN, r"NEEDS\['amp'\] is 'gpu'"),
}


@pytest.mark.parametrize(("source", "message"), NOT_QUITE.values(), ids=NOT_QUITE)
def test_the_line_to_change_is_named(source: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        loaded(source).layers(WorkloadSpec())


def test_a_file_or_module_that_is_not_there_is_said(folder: Path) -> None:
    with pytest.raises(UserError, match=r"absent.py is not there. Name a Python file"):
        loaded("", "absent.py:train")
    with pytest.raises(UserError, match="there is no module absent, neither here nor installed"):
        loaded("", "absent:train")
    (folder / "json.py").write_text(PLAIN)
    with pytest.raises(UserError, match=r"json.py has the name of a module that Python or torch uses: json"):
        loaded("", "json.py:train")


def test_a_device_that_the_function_cannot_be_given_is_refused() -> None:
    source = "def train(amp=False):\n    yield 1\n"
    with pytest.raises(UserError, match=r"my_trainer.py:1: train takes no device, so --device cpu has no effect"):
        loaded(source, device="cpu")
    assert loaded(source).layers(WorkloadSpec()) == ("amp",)


# Beside it.


def test_data_loading_processes_that_are_started_anew_find_what_the_file_defines() -> None:
    """As on a Mac; what stands under the guard for a main module is not run, in them neither."""
    source = """
import torch
from torch.utils.data import DataLoader, Dataset
class Numbers(Dataset):
    def __len__(self): return 8
    def __getitem__(self, index): return torch.tensor(index)
def train(workers=False):
    loader = DataLoader(Numbers(), 4, num_workers=1, multiprocessing_context="spawn")
    for batch in loader:
        yield {"samples": len(batch), "loss": batch.sum()}
if __name__ == "__main__":
    raise RuntimeError("this is not for m2bench")
"""
    system = loaded(source).build(WorkloadSpec(), Path(), (), 0)
    assert [system.told(system.update()).loss for _ in range(2)] == [0 + 1 + 2 + 3, 4 + 5 + 6 + 7]
    with pytest.raises(TrainingEnded):
        system.update()


def test_what_was_opened_is_closed() -> None:
    source = """
closed = []
def train(a=False):
    try:
        while True:
            yield 1
    finally:
        closed.append(1)
"""
    trial(source)
    assert sys.modules["my_trainer"].closed == [1]


def test_a_profile_is_per_unit_and_has_no_phases() -> None:
    """With the layer an update has ten times as many samples, and takes as long and as many operators as before."""
    source = """
import time, torch
def train(large=False):
    while True:
        time.sleep(0.002)
        torch.ones(4).sum().item()
        yield 20 if large else 2
"""
    found, spec = workload(source)
    plain, large = (
        profile_combination(found, spec, Path(), layers, 0, seconds=0.1, files=None) for layers in ((), ("large",))
    )
    assert plain.phases_ms == {}
    assert plain.counts.per_episode["dispatches"] == pytest.approx(10 * large.counts.per_episode["dispatches"])
    assert plain.counts.per_episode["syncs"] == pytest.approx(1 / 2)
    assert [*plain.counts.lines["syncs"]] == [f"{Path.cwd().name}/my_trainer.py:6 torch.ones(4).sum().item()"]
    assert (plain.told_per_update, large.told_per_update) == (2, 20)
    assert math.log(plain.undisturbed_ms / large.undisturbed_ms) == pytest.approx(math.log(10), abs=math.log(2))
