"""The commands that train a workload, as they are typed."""

from __future__ import annotations

import shlex

from m2bench.records.combinations import Layers
from m2bench.records.spec import WorkloadSpec

from .known_systems import DOORS, SYSTEMS, Call, known_system
from .workload_options import workload_options


def workload_words(command: str, workload: WorkloadSpec, layers: Layers) -> list[str]:
    """The words with which a command trains this workload with these layers."""
    module = workload.module if workload.module in SYSTEMS else SYSTEMS[0]
    # The module of a trainer of the user's own follows from its other options, and is refused beside them.
    asked = {name: value for name, value in workload.asked.items() if value not in DOORS}
    words: list[str] = []
    for one in workload_options(command):
        value = asked.get(one.name, one.default)
        if value != one.default and one.layer in (None, *layers) and one.system in (None, module):
            for each in value if isinstance(value, (list, tuple)) else [value]:
                words += [str(each)] if one.positional else [one.flag] if each is True else [one.flag, str(each)]
    return words


def call_with(workload: WorkloadSpec, layers: Layers) -> Call | None:
    """How this workload is trained with these layers.

    A user's own trainer has its own way; None where nothing is to be switched on in it.
    """
    own = known_system(workload.module).call_with
    if own is not None:
        return own(workload.options, layers) if layers else None
    with_layers = ["--with", ",".join(layers)] if layers else []
    return Call(shlex.join(["m2bench", "train", *with_layers, *workload_words("train", workload, layers)]), "sh")
