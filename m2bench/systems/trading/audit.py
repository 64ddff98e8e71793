"""What the training loop would meet on a device that need not be here. Runs in a worker.

Every combination of the layers does what its trials do, on a stand-in for the device (dry_run.py): it is trained for
some updates, evaluated and compared with the referee. Every operator is looked up in torch's own tables
(kernel_tables.py).
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from m2bench.baselines.episodes import EpisodeBatch, EpisodeSource, PreparedMarket
from m2bench.baselines.evaluation import Evaluation, ReturnTarget
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.trainer import NotFiniteError, Trainer, baseline_parts
from m2bench.devices.counters import PLACED
from m2bench.optimizations import RULES, load_layer
from m2bench.optimizations.layer import Contract, LayerOptions, compose, loosest_contract
from m2bench.options.run_options import DEFAULT_DESIGN
from m2bench.plan.designs import MOST_IN_FULL, choose_combinations
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.inspected import AuditedCombination, AuditedLine, AuditedOperator, AuditFindings
from m2bench.records.results import NumericsCheck

from .dry_run import META, DryRun, dry_trainer, fused_adam_allowed
from .kernel_tables import CAVEATS, KernelTables
from .numerics import check_numerics
from .referee import Referee, prepare_referee, referee_episodes

UPDATES = 2  # one turn of the macro part
RUNS = ("training", "evaluation", "numerics")
# torch computes the inverse of the scale in float64, and leaves that out on MPS (torch/amp/grad_scaler.py).
SCALER_LINE = "self.scaler.unscale_("


@dataclass(frozen=True)
class DryRuns:
    """A combination, how many episodes it was trained on, and what each of its runs asked for, by RUNS."""

    layers: Layers
    episodes: int
    runs: Mapping[str, DryRun]


@dataclass
class Met:
    """Where an operator was met: at which lines, if those are noted, and in which combinations, by number."""

    lines: Counter[str] = field(default_factory=Counter)
    combinations: set[int] = field(default_factory=set)


def audit_combinations(
    target: str, layers: Layers, work: Path, settings: Hyperparameters, options: LayerOptions
) -> AuditFindings:
    """Findings over all combinations of ``layers``, on the market that was prepared in ``work``."""
    tables = KernelTables(target)
    source = EpisodeSource(PreparedMarket(work / "market"), settings.episode_length, seed=0)
    referee = prepare_referee(source.market, settings, torch.device("cpu"))
    combinations = [_audit_combination(names, tables, source, referee, settings, options) for names in _audited(layers)]
    return _findings(target, tables, combinations, settings.episode_length)


def _audited(layers: Layers) -> list[Layers]:
    """All combinations, or where those are too many some in which every layer is on, alone and with others."""
    rules = RULES.among(layers)
    every = rules.allowed(layers)
    return every if len(every) <= MOST_IN_FULL else choose_combinations(layers, DEFAULT_DESIGN, rules)


def _audit_combination(
    names: Layers,
    tables: KernelTables,
    source: EpisodeSource,
    referee: Referee,
    settings: Hyperparameters,
    options: LayerOptions,
) -> DryRuns:
    layers = [load_layer(name) for name in names]
    parts = compose(baseline_parts(), layers, options)
    episodes = referee_episodes(source.market, settings.episode_length)
    with fused_adam_allowed():
        trainer = dry_trainer(parts, source, settings)
        try:
            runs = {
                "training": watch(tables, lambda: train_updates(trainer, UPDATES)),
                "evaluation": watch(tables, lambda: evaluate(trainer, Evaluation(source, META))),
            }
            if runs["training"].stopped_at is None:  # what stops training stops these as well
                contract = loosest_contract(layers)
                runs["numerics"] = watch(tables, lambda: check_trainer(trainer, referee, contract, *episodes))
        finally:
            trainer.close()
    return DryRuns(names, UPDATES * parts.episodes_per_update, runs)


def train_updates(trainer: Trainer, updates: int) -> None:
    for _ in range(updates):
        trainer.update()


def evaluate(trainer: Trainer, evaluation: Evaluation) -> tuple[float, ReturnTarget | None]:
    """The greedy policy, and with the target the measure that draws actions."""
    return evaluation.mean_return(trainer.policy), evaluation.target


def check_trainer(
    trainer: Trainer, referee: Referee, contract: Contract, free: EpisodeBatch, forced: EpisodeBatch
) -> dict[str, NumericsCheck]:
    """What is asked after every update, and the numerics checks."""
    with suppress(NotFiniteError):  # what is read back here is 0, also of the question whether all is finite
        trainer.check_finite()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* which is a no-op")  # the stand-in's weights have no values
        return check_numerics(trainer, referee, contract, free, forced)


def watch(tables: KernelTables, work: Callable[[], object]) -> DryRun:
    """Everything that some work on the meta device asks for."""
    mode = DryRun(watched=lambda name, overload: _is_noted(tables, name, overload))
    try:
        with mode:
            work()
    except NotImplementedError:
        if mode.stopped_at is None:
            raise
    return mode


def is_missing(tables: KernelTables, name: str, overload: str) -> bool:
    """Whether the target has neither a kernel nor a way around."""
    support = tables.support(name, overload)
    return support in ("none", "unknown") or (support != "falls back" and tables.expected_to_fail(name))


def _is_noted(tables: KernelTables, name: str, overload: str) -> bool:
    """Whether the lines that use the operator are told."""
    return tables.support(name, overload) == "falls back" or is_missing(tables, name, overload)


def _findings(target: str, tables: KernelTables, combinations: Sequence[DryRuns], decisions: int) -> AuditFindings:
    operators = [_operator(name, met, tables) for name, met in sorted(_operators_of(combinations).items())]
    lines = {kind: _lines_of(kind, combinations) for kind in PLACED}
    if tables.lacks_float64:
        lines["doubles"] = {line: found for line, found in lines["doubles"].items() if SCALER_LINE not in line}
    return AuditFindings(
        target=target,
        decisions_per_episode=decisions,
        operators=tuple(operators),
        combinations=tuple(map(_row, combinations)),
        lines=lines,
        blockers=(*_blockers(tables, operators, lines["doubles"]), *_stops(combinations)),
        caveats=tuple(CAVEATS[target]),
    )


def _row(combination: DryRuns) -> AuditedCombination:
    """Counted in training alone."""
    mode, episodes = combination.runs["training"], combination.episodes
    return AuditedCombination(
        layers=combination.layers,
        operators=len(mode.operators),
        dispatches_per_episode=mode.operators.total() / episodes,
        syncs_per_episode=mode.counts.total("syncs") / episodes,
        copies_per_episode=mode.counts.total("copies") / episodes,
    )


def _operators_of(combinations: Sequence[DryRuns]) -> dict[tuple[str, str], Met]:
    operators: dict[tuple[str, str], Met] = {}
    for number, combination in enumerate(combinations):
        for mode in combination.runs.values():
            for name in mode.operators:
                met = operators.setdefault(name, Met())
                met.lines += mode.lines.get(name, Counter())
                met.combinations.add(number)
    return operators


def _lines_of(kind: str, combinations: Sequence[DryRuns]) -> dict[str, AuditedLine]:
    """By line, the first of RUNS that it is met in, and the combinations that come by it."""
    lines: dict[str, AuditedLine] = {}
    for run in RUNS:
        for combination in combinations:
            label = combination_name(combination.layers)
            for line in getattr(combination.runs[run].counts, kind) if run in combination.runs else ():
                found = lines.setdefault(line, AuditedLine(run, ()))
                if label not in found.combinations:
                    lines[line] = replace(found, combinations=(*found.combinations, label))
    return lines


def _stops(combinations: Sequence[DryRuns]) -> list[str]:
    stopped_at = dict.fromkeys(mode.stopped_at for combination in combinations for mode in combination.runs.values())
    return [
        f"the audit cannot go beyond {place}, which its stand-in has no kernel for" for place in stopped_at if place
    ]


def _operator(name: tuple[str, str], met: Met, tables: KernelTables) -> AuditedOperator:
    return AuditedOperator(
        operator=".".join(part for part in name if part and part != "default"),
        support=tables.support(*name),
        expected_to_fail=tables.expected_to_fail(name[0]),
        missing=is_missing(tables, *name),
        combinations=len(met.combinations),
        lines=tuple(met.lines),
    )


def _blockers(tables: KernelTables, operators: Sequence[AuditedOperator], doubles: Collection[str]) -> list[str]:
    """What would end the training there, each with its lines."""
    blockers = [f"{o.operator} has no {tables.target} kernel, at {'; '.join(o.lines)}" for o in operators if o.missing]
    if tables.lacks_float64:
        blockers += [f"float64, which {tables.target} cannot compute, at {line}" for line in doubles]
    return blockers
