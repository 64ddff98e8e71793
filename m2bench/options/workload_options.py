"""Options of the systems under test: which of them a command takes, and whether they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from m2bench.records.combinations import Layers
from m2bench.records.spec import WorkloadSpec

from .known_systems import SYSTEMS, known_system
from .option import DEVICES, TRAINING, Option, SizeOption, one_of, option, options_of


@dataclass(frozen=True, kw_only=True)
class WorkloadOptions:
    """What is asked for of every system under test."""

    device: str = option(
        WorkloadSpec.device,
        f"Device to train on: {', '.join(DEVICES)}.",
        read=one_of(DEVICES),
        commands=(*TRAINING, "layers", "doctor"),
        in_place="Say in the command, or in a toggle, what it is to run on.",
    )
    module: str = option(
        WorkloadSpec.module,
        "Python module that builds the system under test.",
        spelled="--workload",
        hidden=True,
        commands=(*TRAINING, "scale", "doctor"),
    )


def workload_options(command: str) -> tuple[Option, ...]:
    """The options of all systems under test that a command takes."""
    device, module = options_of(WorkloadOptions)
    of_systems = (replace(one, system=system) for system in SYSTEMS for one in known_system(system).options)
    return tuple(one for one in (device, *of_systems, module) if command in (*one.commands, *one.refused_by))


def check_options(workloads: Sequence[WorkloadSpec], layers: Layers = ()) -> None:
    """Raise UserError where options of one system contradict each other or the layers, or one is used in no workload.

    The workloads are those of one run.
    """
    known = known_system(workloads[0].module)
    unused = [known.unused(workload.options) for workload in workloads]
    for name, error in unused[0].items():
        if all(name in each for each in unused):
            raise error
    for workload in workloads:
        known.check(workload.options, layers)


def size_option(command: str) -> tuple[Option, SizeOption]:
    """The option of which ``scale`` tries several values, and how these are spoken of."""
    return next((one, one.size_as) for one in workload_options(command) if one.size_as is not None)
