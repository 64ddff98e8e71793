"""Which options every command has, and that a declaration is all that an option needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from m2bench.baselines.trainer import baseline_parts
from m2bench.cli.ablate import Ablate, _begun
from m2bench.cli.app import app
from m2bench.cli.command import AskedSystem, Given, command
from m2bench.errors import UserError
from m2bench.optimizations import COMPILING, LAYERS, load_layer
from m2bench.optimizations.layer import compose
from m2bench.optimizations.layer_options import LayerOptions
from m2bench.options.known_systems import DOORS
from m2bench.options.option import Option, argument, at_least, option, options_of
from m2bench.options.run_options import RunOptions
from m2bench.options.typed_commands import workload_words
from m2bench.options.workload_options import check_options, size_option, workload_options
from m2bench.records.documents import to_json
from m2bench.records.factors_spec import Factors
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.trading import options as trading

LEARNING = "--algorithm --advantages --gae-lambda --clip-range --epochs --minibatches"
RUN = f"{LEARNING} --device --data --num-envs --episode-length --policy --compile-backend --workload --seed"
COMMAND = "--command --toggle --metric --lower-is-better --skip-first"
OPTIONS = {
    "ablate": f"{RUN} {COMMAND} "
    "--lr-scaling --all --design --layers --blocks --budget --quick --learning --sweep --threads "
    "--trial-timeout --factors --with --scheduler --hosts --skip-unreachable --remote-python --out --resume "
    "--more-blocks --allow-wrong-device --wait-for-quiet --dry-run",
    "scale": f"{LEARNING} --data --episode-length --policy --compile-backend --workload --seed "
    f"{COMMAND} --num-envs --setting --devices --threads --with --run --learning --blocks --quick --trial-timeout "
    "--wait-for-quiet --out --resume --more-blocks",
    "init": "",
    "train": f"{RUN} --lr-scaling --curriculum --with --evaluate --episodes --out",
    "profile": f"{RUN} --layer --with --against --quick --metal-capture --out",
    "layers": f"{COMMAND} --device --compile-backend --json",
    "report": "--trace",
    "doctor": "--device --seconds --workload --json",
    "forward": "--passes --batches --device --policy --compile-backend --out",
    "audit": "--target --layers --episode-length --policy --json",
    "compare": "--out --json",
    "check": f"{RUN} {COMMAND} "
    "--base --against --min --delta --alpha --max-blocks --layers --strict --threads --window "
    "--trial-timeout --junit --out --json",
    "baseline save": f"{RUN} {COMMAND} --blocks --replace --layers --threads --window --trial-timeout --out --json",
    "baseline list": "--json",
    "baseline show": "--json",
    "baseline promote": "--json",
    "baseline annotate": "--reason --json",
    "baseline history": "--runs --delta --out --json",
}
ARGUMENTS = {
    "ablate": ["trainer"],
    "init": ["file"],
    "scale": ["trainer"],
    "train": ["trainer"],
    "profile": ["trainer"],
    "layers": ["trainer"],
    "check": ["trainer"],
    "report": ["folder"],
    "compare": ["runs"],
    "baseline save": ["name", "trainer"],
    "baseline show": ["name"],
    "baseline promote": ["name", "folder"],
    "baseline annotate": ["name", "folder"],
    "baseline history": ["name"],
}


def all_commands() -> dict[str, typer.core.TyperCommand]:
    """By what is typed."""
    found: dict[str, typer.core.TyperCommand] = {}
    for name, one in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        found |= {f"{name} {inner}": c for inner, c in one.commands.items()} if name == "baseline" else {name: one}
    return found


def test_every_command_has_the_options_that_it_should() -> None:
    flags = {
        name: {flag for one in found.params if one.param_type_name == "option" for flag in one.opts}
        for name, found in all_commands().items()
    }
    for name in ("profile", "train"):
        flags[name] -= {*COMMAND.split()}  # which they take only to say that they are not for a command
    assert flags == {name: {*text.split(), "--debug"} for name, text in OPTIONS.items()}


def test_the_words_of_a_command_come_in_their_order() -> None:
    words = {
        name: [str(one.name) for one in found.params if one.param_type_name == "argument"]
        for name, found in all_commands().items()
    }
    assert {name: found for name, found in words.items() if found} == ARGUMENTS


def test_no_option_is_declared_twice_for_a_command() -> None:
    for name, found in all_commands().items():
        names = [str(one.name) for one in found.params]
        assert len(names) == len(set(names)), name


def read_sizes(flag: str, text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


@dataclass(frozen=True, kw_only=True)
class Shared:
    shared: int = option(3, "Shared.", read=at_least(2))


@dataclass(frozen=True, kw_only=True)
class Own(Shared):
    word: str = argument("A word.")
    sizes: tuple[int, ...] = option(
        (1,),
        "Sizes.",
        spelled="--size",
        kind=str,
        read=lambda flag, text: tuple(map(int, text.split(","))),
        shown="one",
    )
    loud: bool = option(False, "Loud.", asks=False)


def typed(*words: str, system: bool = False) -> tuple[object, Given]:
    """What a command made for this test is called with."""
    called: list[tuple[object, Given]] = []

    def with_options(asked: Own, given: Given) -> None:
        """Test."""
        called.append((asked, given))

    def with_system(asked: AskedSystem, given: Given) -> None:
        """Test."""
        called.append((asked, given))

    app = typer.Typer()
    app.command()(command("train")(with_system if system else with_options))
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return called[0]


def test_a_declared_option_is_typed_read_and_has_a_default() -> None:
    assert typed("w")[0] == Own(word="w", sizes=(1,), loud=False, shared=3)
    assert typed("w", "--size", "4,2", "--loud", "--shared", "5")[0] == Own(word="w", sizes=(4, 2), loud=True, shared=5)
    with pytest.raises(UserError, match="--shared must be at least 2; 0 was given"):
        typed("w", "--shared", "0")


def test_what_was_given_can_be_asked_again() -> None:
    given = typed("w", "--size", "4, 2", "--loud", "--shared", "3")[1]
    assert given.words() == ("--size", "'4, 2'", "--shared", "3"), "--loud only says how the answer is given"
    assert typed("w")[1].words() == ()


def test_an_option_says_its_default_in_its_help() -> None:
    explained = {one.name: one.explained("any") for one in options_of(Own)}
    assert explained["shared"] == "Shared.  [default: 3]"
    assert explained["sizes"] == "Sizes.  [default: one]"
    assert explained["loud"] == "Loud."
    audited = next(one for one in workload_options("audit") if one.name == "episode_length")
    assert audited.explained("audit").endswith("[default: 8]")


def test_the_system_is_asked_for_what_is_not_usual() -> None:
    asked, _ = typed("--num-envs", "64", "--policy", "default", "--workload", "mine", "--device", "cpu", system=True)
    assert isinstance(asked, AskedSystem)
    assert to_json(asked.workload) == {"device": "cpu", "data": "synthetic", "num_envs": 64, "module": "mine",
                                        "folder": str(Path.cwd())}  # fmt: skip
    assert asked.with_layers(("amp", "batching")) == asked.workload
    with pytest.raises(UserError, match="--num-envs has no effect without the layer batching"):
        asked.with_layers(("amp",))


def crossed(**asked: object) -> list[WorkloadSpec]:
    """The workloads of ``--factors learning`` with these options."""
    factors = Factors(trading.LEARNING_FACTORS)
    return [WorkloadSpec(options={**asked, **factors.options_of(chosen)}) for chosen in factors.combinations]


def test_an_option_that_some_of_the_workloads_use_is_no_mistake() -> None:
    workloads = crossed(epochs=2, clip_range=0.1, gae_lambda=0.9)
    check_options(workloads)
    without_ppo = [one for one in workloads if one.options["algorithm"] == "reinforce"]
    with pytest.raises(UserError, match=r"--(epochs|clip-range) has no effect without ppo"):
        check_options(without_ppo)
    with pytest.raises(UserError, match="episodes of 128 decisions cannot be divided into 3 minibatches"):
        check_options(crossed(minibatches=3))


@pytest.mark.parametrize("layers", [(), ("batching",), ("grad-accumulation",), ("batching", "grad-accumulation")])
def test_episodes_per_update_are_known_before_a_trainer_is_built(layers: tuple[str, ...]) -> None:
    asked = trading.TradingOptions(num_envs=6)
    parts = compose(baseline_parts(), [load_layer(name) for name in layers], asked)
    assert trading.episodes_per_update(asked, layers) == parts.episodes_per_update


def test_a_new_option_of_the_system_is_one_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is typed, refused without its layer, sent to the worker, and printed in the commands of reports."""
    new = Option(name="window_size", kind=int, default=5, help="New.", layer="amp")
    monkeypatch.setattr(trading, "KNOWN", replace(trading.KNOWN, options=(*trading.KNOWN.options, new)))
    asked, given = typed("--window-size", "7", system=True)
    assert isinstance(asked, AskedSystem)
    assert asked.workload.options == {"window_size": 7}
    assert given.words() == ("--window-size", "7")
    with pytest.raises(UserError, match="--window-size has no effect without the layer amp"):
        asked.with_layers(())
    assert workload_words("train", asked.workload, ("amp",)) == ["--window-size", "7"]
    assert workload_words("train", asked.workload, ()) == []


def test_what_is_asked_of_ablate_is_stored_with_its_run() -> None:
    """Whatever is declared in ``RunOptions``."""
    asked: dict[str, Any] = {one.name: f"asked {one.name}" for one in options_of(RunOptions)}
    spec = _begun(Ablate(**asked), AskedSystem(WorkloadSpec(), Given(())), Given(()))
    assert {name: getattr(spec, name) for name in asked} == asked


def test_a_printed_command_asks_for_the_same_again() -> None:
    words = ["--device", "cpu", "--data", "eurusd-1h", "--lr-scaling", "sqrt", "--num-envs", "8", "--workload", "mine"]
    asked, _ = typed(*words, system=True)
    assert isinstance(asked, AskedSystem)
    assert workload_words("train", asked.workload, ("batching",)) == words


@pytest.mark.parametrize(
    "words",
    [
        ["mine.py:train", "--device", "cpu"],
        ["--command", "python t.py", "--toggle", "amp=--amp", "--toggle", "jit=env:JIT=1", "--lower-is-better"],
    ],
)
def test_a_printed_command_of_a_users_trainer_names_no_module(words: list[str]) -> None:
    """It would be refused beside it."""
    asked, _ = typed(*words, system=True)
    assert isinstance(asked, AskedSystem)
    assert asked.workload.module in DOORS
    assert sorted(workload_words("ablate", asked.workload, ())) == sorted(words)


def test_the_layers_that_options_name_are_there() -> None:
    assert {one.layer for one in options_of(LayerOptions)} <= {*LAYERS}
    layers = {name: load_layer(name) for name in LAYERS}
    assert {name for name, layer in layers.items() if layer.compiles} == {*COMPILING}
    size, words = size_option("ablate")
    assert words.option == size.name
    assert size.layer in layers
