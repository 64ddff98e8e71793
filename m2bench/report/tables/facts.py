"""What was measured on, and what was trained."""

from __future__ import annotations

from m2bench.records.description import Device, Machine
from m2bench.report.sentences import is_own_program
from m2bench.summary.ablation_summary import Summary
from m2bench.text.figures import digits
from m2bench.text.tables import Table


def facts_table(summary: Summary) -> Table:
    """What was measured on, and what was trained."""
    machine, device = summary.machine.machine, summary.machine.device
    facts = {
        "started": summary.started,
        "device": None if is_own_program(summary) else " ".join(filter(None, (device.device, device.device_name))),
        "chip": machine.chip,
        "cores": f"{machine.physical_cores} physical, {machine.logical_cores} logical",
        "memory": f"{digits(machine.memory_mb)} MB",
        "system": machine.system,
        "power": machine.power,
        **_torch_facts(machine, device),
        "environment": ", ".join(f"{k}={v}" for k, v in machine.environment.items()) or "no relevant variable",
        **summary.system.facts,
    }
    rows = [(name, str(value)) for name, value in facts.items() if value is not None]
    return Table("Machine, software and options", ("what", "value"), rows, frozenset())


def _torch_facts(machine: Machine, device: Device) -> dict[str, str]:
    """The torch that trained; a program of the user's brings its own, and tells none."""
    if not device.torch:
        return {}
    waiting = ", waiting without spinning" if device.thread_waiting == "passive" else ""
    return {
        "python, torch": f"{machine.python}, {device.torch}",
        "torch threads": f"{device.torch_threads}{waiting}",
    }
