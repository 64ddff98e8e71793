"""Options that several commands share: their kinds, and what their values must be."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from m2bench.optimizations import LAYERS
from m2bench.records.combinations import Layers
from m2bench.records.errors import UserError
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.trading.options import TradingOptions, asked_for

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.console import Console

DEVICES = ("auto", "cpu", "cuda", "mps")
POLICIES = ("default", "deep")
LR_SCALINGS = ("none", "sqrt", "linear")
SOURCES = ("synthetic", "eurusd-1h")
SWEPT_LAYER, COMPILING_LAYER = "batching", "compile"
MAX_SEED = 2**32 - 1
INTERRUPTED = 130  # what a shell reports for a command ended by Ctrl-C

_debug = False


def _set_debug(value: bool) -> None:
    global _debug
    _debug = _debug or value


def debugging() -> bool:
    """Whether ``--debug`` was given."""
    return _debug


Debug = Annotated[bool, typer.Option("--debug", callback=_set_debug, help="Show the traceback of an error.")]
Device = Annotated[str, typer.Option(help=f"Device to train on: {', '.join(DEVICES)}.")]
Data = Annotated[
    str, typer.Option(help="Market: synthetic, eurusd-1h, or a file of candles; FILE#SYMBOL takes one of several.")
]
NumEnvs = Annotated[int | None, typer.Option(help="Episodes at once in the layer batching.  [default: 32]")]
EpisodeLength = Annotated[int, typer.Option(help="Decisions per episode.")]
Policy = Annotated[str, typer.Option(help=f"Size of the policy network: {', '.join(POLICIES)}.")]
LrScaling = Annotated[
    str, typer.Option(help=f"How the learning rates follow the episodes per update: {', '.join(LR_SCALINGS)}.")
]
CompileBackend = Annotated[
    str | None, typer.Option(help="Backend of torch.compile.  [default: inductor; aot_eager on mps]")
]
Seed = Annotated[int, typer.Option(help="Seed of weights, episodes and order.")]
Workload = Annotated[str, typer.Option(hidden=True, help="Python module that builds the system under test.")]
Threads = Annotated[
    str, typer.Option(help="Threads of torch in every trial: a number, or auto, which measures what is fastest here.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def workload_spec(
    device: str,
    data: str,
    num_envs: int | None,
    episode_length: int,
    policy: str,
    lr_scaling: str,
    compile_backend: str | None,
    module: str,
    taking_part: Layers,
) -> WorkloadSpec:
    for option, value, layer in (
        ("--num-envs", num_envs, "batching"),
        ("--compile-backend", compile_backend, "compile"),
    ):
        if value is not None and layer not in taking_part:
            raise UserError(f"{option} has no effect without the layer {layer}.", f"Add {layer}, or leave it out.")
    options = TradingOptions(
        episode_length=at_least("--episode-length", episode_length, 2),
        policy=one_of("--policy", policy, POLICIES),
        lr_scaling=one_of("--lr-scaling", lr_scaling, LR_SCALINGS),
        compile_backend=compile_backend,
    )
    if num_envs is not None:
        options = replace(options, num_envs=at_least("--num-envs", num_envs, 2))
    return WorkloadSpec(one_of("--device", device, DEVICES), _located(data), asked_for(options), module)


def thread_count(text: str) -> int | None:
    """A number of threads, or None for ``auto``."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--threads {text!r} is not a number of threads.", "Name a whole number from 1 on, or auto.")
    return int(text)


def whole_numbers(option: str, text: str, what: str) -> list[int]:
    """Numbers from 1 on, each once, in their order."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        if not part.isdecimal() or int(part) < 1:
            raise UserError(f"{option}: {part!r} is not a {what}.", "Name whole numbers, as in 1,64,4096.")
    if not parts:
        raise UserError(f"{option} names no {what}.", "Name some, as in 1,64,4096.")
    return sorted({int(part) for part in parts})


def parse_layers(text: str) -> Layers:
    """Layers in the registry's order, whatever order they are named in."""
    return in_order(parse_names(text, tuple(LAYERS), "layer"))


def in_order(named: Collection[str]) -> Layers:
    return tuple(layer for layer in LAYERS if layer in named)


def parse_names(text: str, known: tuple[str, ...], kind: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        wrong = f"unknown {kind} {', '.join(map(repr, unknown))}." if unknown else f"no {kind} was named."
        raise UserError(wrong, f"There are: {', '.join(known)}.")
    return names


def one_of(option: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise UserError(f"{option} {value!r} is not known.", f"Use one of: {', '.join(known)}.")
    return value


def within(option: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise UserError(f"{option} must lie between {least:g} and {most:g}, and {value:g} was given.")


def _located(data: str) -> str:
    """A data file by its absolute path, since workers run in another folder; a source by its name."""
    if data in SOURCES:
        return data
    from m2bench.baselines.candle_columns import SYMBOL_MARK, split_symbol

    try:
        path, symbol = split_symbol(data)
        located = str(path.resolve()) if path.exists() else str(path)
        return located if symbol is None else f"{located}{SYMBOL_MARK}{symbol}"
    except OSError as error:
        raise UserError(f"{data} cannot be read: {error.strerror}.", "Give yourself access to it.") from error


def at_least(option: str, value: Any, least: int) -> Any:
    if not value >= least:
        raise UserError(f"{option} must be at least {least}, and {value:g} was given.")
    return value


def make_console(to_stderr: bool = False) -> Console:
    from rich.console import Console

    # A pipe has no width; wide enough that a row of a table stays a line.
    width = None if sys.stdout.isatty() else max(shutil.get_terminal_size((140, 24)).columns, 140)
    return Console(width=width, stderr=to_stderr)
