"""A user's command line behind the interface of a program: a trial is one run of it, whose output holds the metrics."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from m2bench.errors import TrainerError, UserError
from m2bench.machine.canary import host_canary_s
from m2bench.records.combinations import Layers
from m2bench.records.description import (
    Described,
    Device,
    LayerDescription,
    Rate,
    SystemDescription,
    Unit,
    WorkloadDescription,
)
from m2bench.records.documents import read, to_json
from m2bench.records.results import Moment, PeakMemory, TrialResult
from m2bench.records.spec import Options, WorkloadSpec
from m2bench.store.sources import sources_of

from .metrics import TIME, Readings, ReadMetric, counting, ranked_value, read_metrics, shown_value
from .options import CommandOptions
from .output import Output
from .process import Ran, run_command
from .toggles import CommandLine

DEVICE = "this machine"  # the command chooses what it computes on, and need not tell


def load_workload(spec: WorkloadSpec) -> CommandProgram:
    """The user's command. Raises UserError for toggles and metrics that cannot be read, or do not fit together."""
    options = dict(spec.options)
    settings = options.pop("settings", None)
    return CommandProgram(CommandOptions(**options), settings)


class CommandProgram:
    """One command of the user's with its toggles and metrics."""

    def __init__(self, options: CommandOptions, settings: Options | None = None):
        self._options = options
        self._needs_layers = settings is None
        self._line = CommandLine(options.command or "", options.toggle, settings)
        self._line.refuse_idle()
        self._metrics = read_metrics(options.metric)
        self._ranked = self._metrics[0]
        self._lower_is_better = options.lower_is_better or self._ranked == TIME
        if options.skip_first and self._metrics == (TIME,):
            raise UserError("--skip-first leaves out matches, and no --metric matches.", "Leave it out, or give one.")

    def layers(self) -> Layers:
        """Its toggles. Raises UserError where there are none, unless a run of ``scale`` varies something else."""
        if self._needs_layers and not self._line.changes:
            raise UserError("there is nothing to switch on.", "Give at least one --toggle name=change.")
        return tuple(self._line.changes)

    def describe(self) -> Described:
        is_time, lower = self._ranked == TIME, self._lower_is_better
        rate = Rate("s", 1 / 60, lower) if is_time else Rate(self._ranked.name, lower_is_better=lower, is_metric=True)
        workload = {
            "options": {name: value for name, value in to_json(self._options).items() if value},
            "own_program": True,
            "sources": sources_of(self._line.files(), Path.cwd()),
        }
        return Described(
            system=SystemDescription(
                unit=Unit("run", "runs"),
                rate=rate,
                facts={"command": self._options.command or ""},
                no_target_because="a command does not tell how well it has learned",
            ),
            device=read(Device, {"device": DEVICE}),
            layers=tuple(map(self._describe_layer, self._line.changes)),
            workload=read(WorkloadDescription, workload),
        )

    def _describe_layer(self, name: str) -> LayerDescription:
        return LayerDescription(
            name=name, part=name, summary=self._line.summary(name), claim=None, exact=False, compiles=False,
            works_ahead=True, unsupported=None,
        )  # fmt: skip

    def measure(self, layers: Layers, seed: int, limit_s: float, on_window: Callable[[Moment], None]) -> TrialResult:
        readings, output = Readings(self._metrics), Output(sys.stdout.fileno())
        words, variables = self._line.words(layers, seed), self._line.variables(layers, seed)
        on_window("begin")
        ran = run_command(words, variables, limit_s, output, readings.read_line, readings.read_error_line)
        on_window("end")
        if output.error is not None:
            raise output.error
        readings.end()
        values = {metric: self._values(metric, ran, readings, output) for metric in self._metrics}
        first = ranked_value(self._ranked.name, values[self._ranked], self._lower_is_better)
        others = {metric.name: shown_value(metric.name, values[metric]) for metric in self._metrics[1:]}
        speed = self._units_per_min(first)
        return TrialResult(
            setup_s=None,
            canary_s=(host_canary_s(),),
            warmup_update_s=(),
            update_s=(60 / speed,),
            episodes_per_update=1,
            episodes_per_min=speed,
            window_error=None,
            timer_share=0.0,
            energy_j_per_episode=None,
            env_steps_per_s=None,
            compile_s=None,
            peak_memory_mb=PeakMemory(None, ran.peak_memory_mb),
            numerics_s=0.0,
            eval_return=None,
            metrics={self._ranked.name: first, **others},
        )

    def _units_per_min(self, value: float) -> float:
        """What is ranked, as the speed that ``Rate`` shows as this value."""
        if self._ranked == TIME:
            return 60 / value
        return 1 / value if self._lower_is_better else value

    def _values(self, metric: ReadMetric, ran: Ran, readings: Readings, output: Output) -> list[float]:
        """What counts of a metric. Raises TrainerError where it was not found, or not often enough."""
        if metric == TIME:
            return [ran.elapsed_s]
        found, skipped = readings[metric], self._options.skip_first
        if len(found) > skipped:
            return [*counting(found, skipped)]
        often = f"{len(found)} time{'s' * (len(found) > 1)}, and --skip-first leaves out {skipped}"
        seen = f"found {often}" if found else "not found in the output"
        raise TrainerError(f"--metric {metric.typed} was {seen}; {output.last_lines}")
