"""The options of a user's function. Without torch, so that the command line can read them."""

from __future__ import annotations

from dataclasses import dataclass

from m2bench.errors import UserError
from m2bench.options.known_systems import Call, KnownSystem
from m2bench.options.option import option, options_of
from m2bench.records.combinations import Layers
from m2bench.records.spec import Options


def read_trainer(flag: str, typed: str) -> str:
    """A function by its file or module, as ``my_trainer.py:train``. Raises UserError where it is not named so."""
    place, colon, name = typed.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise UserError(
            f"{typed!r} names no function.", "Give one such as my_trainer.py:train or package.module:train."
        )
    return typed


@dataclass(frozen=True, kw_only=True)
class FunctionOptions:
    """Which function trains."""

    trainer: str | None = option(
        None,
        "Your own trainer, such as my_trainer.py:train or package.module:train.",
        kind=str,
        positional=True,
        read=read_trainer,
        commands=("ablate", "scale", "train", "profile", "check", "baseline save", "layers"),
    )


def call_with(options: Options, layers: Layers) -> Call:
    """The user's function with these layers switched on."""
    name = options["trainer"].rpartition(":")[2]
    return Call(f"{name}({', '.join(f'{layer}=True' for layer in layers)})", "python")


KNOWN = KnownSystem(options_of(FunctionOptions), call_with=call_with)
