"""The command ``audit``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import typer

from m2bench.options.option import GPUS, one_of, option

from .command import AskedSystem, command
from .console import answer, make_console
from .shared_options import AsJson, TakingPart, layers_taking_part


@dataclass(frozen=True, kw_only=True)
class Audit(TakingPart, AsJson):
    """What ``audit`` is asked for."""

    target: str = option(GPUS[0], f"Device to audit for: {', '.join(GPUS)}.", read=one_of(GPUS))


@command("audit")
def audit(asked: Audit, system: AskedSystem) -> None:
    """List, from any machine, which training operators a device has no kernel for and where the host waits for it."""
    from m2bench.inspect.audit import audit_target, show_audit

    layers = layers_taking_part(system.workload, asked.layers).names
    workload = replace(system.with_layers(layers), device="cpu")
    found = audit_target(asked.target, workload, layers, make_console(to_stderr=asked.as_json))
    answer(found.findings, asked.as_json, partial(show_audit, found))
    if found.findings.blockers:
        raise typer.Exit(1)
