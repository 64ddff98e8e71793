"""A user's command line behind the interface of a workload: one process a trial, whose output holds the metric."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from m2bench.devices import torch_device
from m2bench.devices.device_description import describe_device
from m2bench.devices.device_speed import canary_s
from m2bench.records.combinations import Layers
from m2bench.records.description import Rate, Unit
from m2bench.records.errors import TrainerError, UserError
from m2bench.records.results import PeakMemory, TrialResult
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.defaults import NOT_TOLD, describe_layer
from m2bench.systems.interface import Document

from .metrics import LAST_LINES, Metric, read_metric, reduced
from .toggles import Toggle, read_toggle, switched

TIME = "time"


def load_workload(spec: WorkloadSpec) -> CommandWorkload:
    """The user's command. Raises UserError for a toggle or a metric that is none."""
    return CommandWorkload(spec)


@dataclass(frozen=True)
class Ran:
    """What one process told: its time, and the values of each metric."""

    elapsed_s: float
    values: dict[str, list[float]]


class CommandWorkload:
    """One command of the user's with its toggles and metrics."""

    def __init__(self, spec: WorkloadSpec):
        options = spec.options
        self.command: str = options.get("command") or ""
        if not self.command.strip():
            raise UserError("there is no command to run.", "Give one with --command.")
        self.toggles: dict[str, Toggle] = {}
        for typed in options.get("toggle", ()):
            toggle = read_toggle(typed, self.command)
            self.toggles[toggle.name] = toggle
        if not self.toggles:
            raise UserError("there is nothing to switch on.", "Give at least one --toggle name=change.")
        self.metrics = [read_metric(typed) for typed in options.get("metric", ())]
        self.lower_is_better = bool(options.get("lower_is_better")) or not self.metrics
        self.skip_first = int(options.get("skip_first", 0))

    def layers(self, spec: WorkloadSpec) -> Layers:
        return tuple(self.toggles)

    def describe(self, spec: WorkloadSpec, work: Path) -> Document:
        name = self.metrics[0].name if self.metrics else TIME
        rate = Rate(f"{name}" if self.metrics else "s", 1.0 if self.metrics else 1 / 60, self.lower_is_better)
        return {
            "system": {
                "unit": asdict(Unit("run", "runs")),
                "rate": asdict(rate),
                "facts": {"command": self.command},
                "no_target_because": NOT_TOLD,
            },
            "device": describe_device(spec.device),
            "layers": [
                describe_layer(name, summary=typed.partition("=")[2])
                for name, typed in zip(self.toggles, spec.options.get("toggle", ()), strict=True)
            ],
            "claimed_together": {},
            "workload": {"market": {}, "options": dict(spec.options), "target": None, "own_program": True},
        }

    def build(self, spec: WorkloadSpec, work: Path, layers: Layers, seed: int) -> None:
        raise UserError("a command cannot be looked into.", "Use a function of your own for that.")

    def measure(self, spec: WorkloadSpec, layers: Layers, seed: int, on_window: Callable[[str], None]) -> TrialResult:
        """Run the command once with these layers. Raises TrainerError where it fails or tells no metric."""
        words, variables = switched(self.command, (self.toggles[name] for name in layers), seed)
        on_window("begin")
        ran = self._run(words, variables)
        on_window("end")
        seconds = ran.elapsed_s
        speed = 60 / seconds
        if self.metrics:
            first = self.metrics[0]
            value = reduced(ran.values[first.name], self.skip_first)
            if not value > 0:
                raise TrainerError(f"the metric {first.name} is {value:g}, and only more than 0 can be compared")
            speed = 1 / value if self.lower_is_better else value
        peak_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        return TrialResult(
            setup_s=0.0,
            canary_s=(canary_s(torch_device.resolve_device("cpu")),),
            warmup_update_s=(),
            update_s=(60 / speed,),
            episodes_per_update=1,
            episodes_per_min=speed,
            window_error=None,
            timer_share=0.0,
            energy_j_per_episode=None,
            env_steps_per_s=speed / 60,
            compile_s=None,
            peak_memory_mb=PeakMemory(None, peak_kb / (2**20 if sys.platform == "darwin" else 2**10)),
            numerics_s=0.0,
            eval_return=None,
        )

    def _run(self, words: list[str], variables: dict[str, str]) -> Ran:
        values: dict[str, list[float]] = {metric.name: [] for metric in self.metrics}
        last: deque[str] = deque(maxlen=LAST_LINES)
        begin = time.perf_counter()
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace", env={**os.environ, **variables},
            )  # fmt: skip
        except OSError as error:
            raise TrainerError(f"{words[0]} cannot be run: {error.strerror}") from error
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
            for metric in self.metrics:
                values[metric.name] += metric.values(line)
        code = process.wait()
        elapsed_s = time.perf_counter() - begin
        said = " | ".join(last) or "(it printed nothing)"
        if code:
            raise TrainerError(f"the command ended with exit code {code}; its last lines: {said}")
        for metric in self.metrics:
            self._refuse_missing(metric, values[metric.name], said)
        return Ran(elapsed_s, values)

    def _refuse_missing(self, metric: Metric, values: list[float], said: str) -> None:
        if len(values) <= self.skip_first:
            raise TrainerError(
                f"the metric {metric.name} was found {len(values)} times, and more than {self.skip_first} are needed; "
                f"the last lines of the output: {said}"
            )
