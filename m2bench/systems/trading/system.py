"""The RL system under test, behind the interface that every system has."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from m2bench.baselines import synthetic
from m2bench.baselines.algorithms import make_trainer
from m2bench.baselines.candle_columns import split_symbol
from m2bench.baselines.candle_files import read_eurusd_1h, read_file
from m2bench.baselines.curriculum import make_source
from m2bench.baselines.episodes import NUM_ACTIONS, EpisodeSource, PreparedMarket, prepare_market
from m2bench.baselines.evaluation import Evaluation
from m2bench.baselines.hyperparameters import CURRICULUM, Hyperparameters
from m2bench.baselines.market import Market, MarketError
from m2bench.baselines.parts import all_gradients
from m2bench.baselines.phases import AroundPhase, phases_watched
from m2bench.baselines.policy import LAST_BIAS, AsymmetricPolicyNetwork, PolicySize, make_policy
from m2bench.baselines.trainer import NotFiniteError, baseline_parts
from m2bench.devices import compiler, counters, torch_device
from m2bench.devices.device_description import describe_device
from m2bench.devices.training_pieces import Units
from m2bench.errors import UserError
from m2bench.optimizations import CLAIMED_TOGETHER, LAYERS, RULES, load_layer
from m2bench.optimizations.layer import Contract, LayerOptions, compose, loosest_contract
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.description import Described, Facts, LayerDescription, SystemDescription, Unit, WorkloadDescription
from m2bench.records.documents import read
from m2bench.records.inspected import AuditFindings, PassTime
from m2bench.records.results import Counts, NumericsCheck, Proof
from m2bench.records.rules import Rules
from m2bench.records.spec import WorkloadSpec
from m2bench.systems.defaults import SystemDefaults, describe_layer

from .audit import audit_combinations
from .forward import time_forward
from .numerics import check_device, check_numerics, check_stream
from .options import ADVANTAGES, ALGORITHMS, TradingOptions, advantages_of, hyperparameters_of
from .referee import Referee, prepare_referee, referee_episodes
from .stream import WatchedStream

UNIT = Unit("episode", "episodes")
NO_TARGET = (
    "no good policy is known for this market, and its held-out part is too short or too volatile to tell learning from "
    "luck"
)


def rules(spec: WorkloadSpec) -> Rules:
    """Which layers need or exclude others."""
    return RULES


def describe(spec: WorkloadSpec, work: Path) -> Described:
    """Prepare the market in ``work`` and tell device, layers (with what cannot run here) and workload.

    Raises UserError for a device that is not there or data that cannot be used.
    """
    device = torch_device.resolve_device(spec.device)
    asked = _asked(spec)
    if asked.compile_backend is not None:
        compiler.check_compile_backend(asked.compile_backend)
    folder = work / "market"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        market = _read_market(spec.data)
        prepared = prepare_market(market, folder)
        evaluation = Evaluation(make_source(prepared, _settings(spec), seed=0, episodes_per_update=1), device)
        target = evaluation.target
    except MarketError as error:
        raise UserError(str(error)) from error
    workload = {
        "market": prepared.facts,
        "market_remarks": list(market.remarks),
        "hyperparameters": asdict(_settings(spec)),
        "options": asdict(asked),
        "evaluation_episodes": len(evaluation.source.evaluation_starts()),
        "good_return": evaluation.good_return,
        # Small work and large work, of which more threads may gain.
        "threads_measured_on": [[], ["batching", "vectorized-loss"]],
        "target": None if target is None else {**asdict(target), "return": target.target_return},
    }
    facts = _facts(asked, prepared.facts, evaluation.good_return)
    return Described(
        system=SystemDescription(unit=UNIT, facts=facts, no_target_because=None if target else NO_TARGET),
        device=describe_device(spec.device),
        layers=tuple(_describe_layer(name, device, asked, _settings(spec)) for name in LAYERS),
        claimed_together=CLAIMED_TOGETHER,
        workload=read(WorkloadDescription, workload),
    )


def _facts(asked: TradingOptions, market: Facts, good_return: float | None) -> dict[str, str]:
    """What is trained, as reports show it."""
    return {
        "market": f"{market['name']}, {market['candles']:,} candles",
        "known good policy": "none on this market"
        if good_return is None
        else f"{good_return:.3g} % per held-out episode",
        "environments per batch": str(asked.num_envs),
        "episode": f"{asked.episode_length} decisions",
        "policy": asked.policy,
        "algorithm": ALGORITHMS[asked.algorithm],
        "advantages": ADVANTAGES[advantages_of(asked)],
        "curriculum": "none" if not asked.curriculum else _stages(asked.episode_length),
        "learning rate follows episodes per update": asked.lr_scaling,
    }


def _stages(episode_length: int) -> str:
    """An update is of the stage that it begins in."""
    stages = [
        f"{s.length_of(episode_length)} decisions on the calmest {s.calmest:.0%} in updates that begin before episode "
        f"{s.until}"
        for s in CURRICULUM[:-1]
    ]
    return f"{', '.join(stages)}, then {CURRICULUM[-1].length_of(episode_length)} decisions anywhere"


def prepare(spec: WorkloadSpec, work: Path) -> list[str]:
    """What trials need beside the market that ``describe`` prepared in ``work``: the referee's answers.

    Returns what the device computes wrongly, by which nothing that is measured on it would mean anything; [] where it
    is sound.
    """
    prepared = PreparedMarket(work / "market")
    referee = prepare_referee(prepared, _settings(spec), torch_device.resolve_device(spec.device))
    referee.save(work)
    free, _ = referee_episodes(prepared, _asked(spec).episode_length)
    return check_device(referee, free)


def audit(spec: WorkloadSpec, work: Path, target: str, layers: Layers) -> AuditFindings:
    """What training would meet on the device ``target``, found without it (audit.py)."""
    return audit_combinations(target, layers, work, _settings(spec), _asked(spec))


def forward(spec: WorkloadSpec, sizes: Sequence[int], passes: int) -> list[PassTime]:
    """What forward passes of the policy take at these batch sizes (forward.py)."""
    device, asked = torch_device.resolve_device(spec.device), _asked(spec)
    policy = make_policy(cast(PolicySize, asked.policy), 0, device)
    return time_forward(policy, device, sizes, passes, asked.compile_backend or compiler.compile_backend(device))


def evaluate_checkpoint(spec: WorkloadSpec, work: Path, checkpoint: Path) -> float:
    """Mean return per held-out episode of the greedy policy that ``m2bench train`` saved, in percent of the capital.

    Nothing but weights is read from the file. Raises UserError where it holds none of such a policy.
    """
    device = torch_device.resolve_device(spec.device)
    policy = load_policy(checkpoint, device)
    source = EpisodeSource(PreparedMarket(work / "market"), _asked(spec).episode_length, seed=0)
    return Evaluation(source, device).mean_return(policy)


NOT_A_POLICY = (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, AttributeError)
"""What is raised for a file that is something else."""


def load_policy(checkpoint: Path, device: torch.device) -> AsymmetricPolicyNetwork:
    """The policy that ``m2bench train`` saved. Raises UserError where the file holds none."""
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        weights = saved["state"]
        with_values = len(weights[LAST_BIAS]) > NUM_ACTIONS
        policy = make_policy(saved["policy"], 0, torch.device("cpu"), with_values)
        policy.load_state_dict(weights)
    except OSError as error:
        raise UserError(f"{checkpoint} cannot be read: {error.strerror}.", "Name a checkpoint.pt.") from error
    except NOT_A_POLICY as error:
        raise UserError(
            f"{checkpoint} holds no policy of m2bench train ({type(error).__name__}).", "Name a checkpoint.pt of it."
        ) from error
    return policy.to(device)


def _read_market(data: str) -> Market:
    if data == "synthetic":
        return synthetic.synthetic_market()
    if data == "eurusd-1h":
        return read_eurusd_1h()
    return read_file(*split_symbol(data))


def _asked(spec: WorkloadSpec) -> TradingOptions:
    try:
        return TradingOptions(**spec.options)
    except TypeError as error:
        raise UserError(f"the trading system has other options: {error}.") from error


def _settings(spec: WorkloadSpec) -> Hyperparameters:
    return hyperparameters_of(_asked(spec))


def _describe_layer(
    name: str, device: torch.device, options: LayerOptions, settings: Hyperparameters
) -> LayerDescription:
    layer = load_layer(name)
    return describe_layer(
        layer.name,
        part=layer.part,
        summary=layer.summary,
        claim=layer.claim,
        contract=layer.contract,
        exact=layer.contract == Contract(),
        compiles=layer.compiles,
        compiled_apart=layer.compiled_apart,
        works_ahead=layer.works_ahead,
        own_threads=layer.own_threads,
        unsupported=layer.unsupported(device, options) or layer.unsuited(settings),
    )


def build(spec: WorkloadSpec, work: Path, layers: Layers, seed: int) -> TradingSystem:
    """The system with these layers, ready for its first update, on the market that ``describe`` prepared."""
    return TradingSystem(spec, work, layers, seed)


class TradingSystem(SystemDefaults):
    """One combination of the trainer."""

    def __init__(self, spec: WorkloadSpec, work: Path, layers: Layers, seed: int):
        super().__init__(torch_device.resolve_device(spec.device))
        self.work = work
        self.episode_length = _asked(spec).episode_length
        self.layers = [load_layer(name) for name in layers]
        parts = compose(baseline_parts(), self.layers, _asked(spec))
        settings = _settings(spec)
        source = make_source(PreparedMarket(work / "market"), settings, seed, parts.episodes_per_update)
        self.trainer = make_trainer(parts, source, settings, seed, self.device)
        self.trainer.batches = self.stream = WatchedStream(self.trainer.batches)
        self.evaluation = Evaluation(source, self.device)
        self.episodes_per_update = parts.episodes_per_update
        self.steps_per_episode = self.episode_length
        self.processes = self.trainer.replicas.count
        self.compiles = any(layer.compiles for layer in self.layers)

    def update(self) -> Tensor:
        """One optimizer step; the mean training return per episode, on the device, not waited for."""
        return self.trainer.update()

    def check_finite(self) -> None:
        """Raise FloatingPointError when the last update's loss or gradient was not a finite number."""
        try:
            self.trainer.check_finite()
        except NotFiniteError as error:
            names = combination_name(tuple(layer.name for layer in self.layers))
            raise FloatingPointError(f"{error}, with {names}") from error

    def check_numerics(self) -> Mapping[str, NumericsCheck]:
        """Checks that compare this combination with the referee; the trainer is left as it was."""
        referee = Referee.load(self.work)
        free, forced = referee_episodes(self.evaluation.source.market, self.episode_length)
        return check_numerics(self.trainer, referee, loosest_contract(self.layers), free, forced)

    def check_stream(self) -> Mapping[str, NumericsCheck]:
        """The check of the episodes that were consumed up to now."""
        return check_stream(self.stream, self.evaluation.source)

    def timed_window(self) -> AbstractContextManager[object]:
        """Held around the timed window: each layer's own, and a fresh count of peak memory."""
        self.trainer.feed_wait_s = 0.0
        stack = ExitStack()
        stack.enter_context(super().timed_window())
        for layer in self.layers:
            stack.enter_context(layer.timed(self.trainer))
        return stack

    def waits_s(self) -> dict[str, float]:
        """Seconds of the timed window spent waiting for episodes, by the phase they belong to."""
        return {"feed": self.trainer.feed_wait_s}

    def watch_phases(self, watch: AroundPhase) -> AbstractContextManager[None]:
        """Held around updates whose phases are each entered through ``watch``."""
        return phases_watched(watch)

    def pieces(self) -> Iterator[tuple[Callable[[], object], Units | None]]:
        """Pieces of training to be run one after the other, and how many episodes what each one costs is for.

        The second backward pass of an update, which adds to a gradient that is there, stands for all later ones. There
        are so many steps that the macro part has its turn once, since a step with it costs more than one without. Where
        all gradients are computed in every update, its passes are like those of any other. None: the piece only makes
        the gradient of the next step. An update of several steps is one piece.
        """
        trainer, interval = self.trainer, self.trainer.settings.macro_interval
        if trainer.settings.steps_per_update > 1:
            yield trainer.update, self.episodes_per_update
            return
        later = trainer.parts.update.backwards - 1
        alike = trainer.parts.gradients is all_gradients
        counted = self.episodes_per_update * (1 if alike else interval)
        for step in range(interval):
            is_counted = step == 0 or not alike
            yield trainer.gather_gradient, counted if is_counted else None
            if later and is_counted:
                yield trainer.gather_gradient, Fraction(counted, later)
            yield trainer.apply_gradient, interval * self.episodes_per_update

    def count(self) -> Counts:
        """What one episode's share of an update asks of the device, and from which lines (counters.py)."""
        with self.trainer.replicas.in_turn():
            return counters.count_pieces(self, self.device)

    def proofs(self) -> Mapping[str, Proof]:
        """For each layer: was it at work, by what evidence, and if not, why not."""
        return {layer.name: layer.prove(self.trainer) for layer in self.layers}

    def evaluate(self) -> float:
        """Mean return per held-out episode of the greedy policy, in percent of the capital."""
        return self.evaluation.mean_return(self.trainer.policy)

    def learned_return(self) -> float:
        """The return in which this market's target is stated."""
        return self.evaluation.learned_return(self.trainer.policy)

    def checkpoint(self) -> Mapping[str, object]:
        """The policy's weights."""
        return {"policy": self.trainer.settings.policy_size, "state": self.trainer.policy.cpu().state_dict()}

    def close(self) -> None:
        self.trainer.close()
