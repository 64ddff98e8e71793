"""What was measured on, and what was trained."""

from __future__ import annotations

from m2bench.records.description import Facts
from m2bench.report.sentences import is_own_program
from m2bench.summary.ablation import Summary
from m2bench.text.figures import digits
from m2bench.text.tables import Table


def facts_table(summary: Summary) -> Table:
    """What was measured on, and what was trained."""
    machine = summary.machine
    facts = {
        "started": summary.started,
        "device": None
        if is_own_program(summary)
        else " ".join(str(machine[key]) for key in ("device", "device_name") if machine.get(key)),
        "chip": machine["chip"],
        "cores": f"{machine['physical_cores']} physical, {machine['logical_cores']} logical",
        "memory": f"{digits(machine['memory_mb'])} MB",
        "system": machine["system"],
        "power": machine["power"],
        **_torch_facts(machine),
        "environment": ", ".join(f"{k}={v}" for k, v in machine["environment"].items()) or "no relevant variable",
        **summary.system.facts,
    }
    rows = [(name, str(value)) for name, value in facts.items() if value is not None]
    return Table("Machine, software and options", ("what", "value"), rows, frozenset())


def _torch_facts(machine: Facts) -> dict[str, str]:
    """The torch that trained; a program of the user's brings its own, and tells none."""
    if "torch" not in machine:
        return {}
    waiting = ", waiting without spinning" if machine.get("thread_waiting") == "passive" else ""
    return {
        "python, torch": f"{machine['python']}, {machine['torch']}",
        "torch threads": f"{machine['torch_threads']}{waiting}",
    }
