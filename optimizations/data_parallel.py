"""Layer ``data-parallel``: a process on each core learns from its share of every batch."""

from __future__ import annotations

import math
import mmap
import os
import signal
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait

import torch
from torch import Tensor

from m2bench.baselines.episodes import EpisodeBatch
from m2bench.baselines.hyperparameters import Hyperparameters
from m2bench.baselines.parts import Parts
from m2bench.baselines.phases import phase
from m2bench.baselines.trainer import Trainer
from m2bench.devices import torch_device

from .layer import OURS, Claim, Layer, LayerOptions, Proof

END_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Order:
    """What a replica is to do: prepare its share of these episodes, or, without any, learn from its share.

    ``updates``: of the trainer, so far; ``prepared``: whether the share is the one that it prepared last, and not what
    lies in the shared memory.
    """

    episodes: tuple[int, ...] = ()
    updates: int = 0
    prepared: bool = False


@dataclass(frozen=True)
class Done:
    """``loss`` and ``mean_return`` of the share that was learned from, by so many ``threads``.

    ``error``: where it failed, its traceback.
    """

    loss: float = math.nan
    mean_return: float = math.nan
    threads: int = 0
    error: str = ""


class ReplicaProcesses:
    """Forked copies of a trainer, one thread each, and the memory that they share with it.

    The weights are in that memory, so an optimizer step reaches every replica. A replica leaves its gradient there,
    which is added to the trainer's own: the gradient of a batch is the mean of those of its equal shares.
    """

    def __init__(self, trainer: Trainer):
        self.num_envs = trainer.parts.rollout.num_envs
        self.count = replicas_for(self.num_envs)
        self._in_turn = False
        self.learned: dict[int, int] = {}
        """By process id, how often its gradient was added, since somebody began to count."""
        self.threads: set[int] = set()
        """How many threads these processes learned by, as they told."""
        self._process = os.getpid()
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self._trainer_prepare = trainer.prepare
        self._batch = self._prepared = _shared_batch(trainer.prepare(range(1)), self.num_envs)
        for parameter in trainer.policy.parameters():
            parameter.data = _shared_like(parameter.data, parameter.shape).copy_(parameter.data)
        self._helpers = [_Helper(self, trainer, number) for number in range(1, self.count)]

    def prepare(self, episodes: Sequence[int]) -> EpisodeBatch:
        """Each replica its share, into the shared memory, where they are until the next ones are prepared."""
        if os.getpid() != self._process:  # a data loader's, which has no replicas
            return self._trainer_prepare(episodes)
        for helper in self._helpers:
            helper.tell(Order(episodes=tuple(episodes)))
        self._prepare_share(0, episodes)
        for helper in self._helpers:
            helper.answer()
        # The numbers are of this batch alone, for whoever keeps them.
        self._prepared = replace(self._batch, numbers=torch.tensor(list(episodes)))
        return self._prepared

    def learn(self, trainer: Trainer, batch: EpisodeBatch) -> Tensor:
        shares = range(self.count)
        if self._in_turn:
            return torch.stack([trainer.learn_alone(self._share(batch, number)) for number in shares]).mean()
        prepared = batch is self._prepared
        if not prepared:
            for kept, given in zip(_tensors(self._batch), _tensors(batch), strict=True):
                kept.copy_(given)
        for helper in self._helpers:
            helper.tell(Order(updates=trainer.updates, prepared=prepared))
        returns = [trainer.learn_alone(self._own if prepared else self._share(self._batch, 0))]
        losses = [trainer.losses.pop()]
        for helper in self._helpers:
            with phase("replicas"):
                done = helper.answer()
            with phase("backward"):
                _add(trainer, helper.gradients)
            losses.append(torch.tensor(done.loss))
            returns.append(torch.tensor(done.mean_return))
            self.learned[helper.process_id] = self.learned.get(helper.process_id, 0) + 1
            self.threads.add(done.threads)
        trainer.losses.append(torch.stack(losses).mean())
        return torch.stack(returns).mean()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        self._in_turn = True
        try:
            yield
        finally:
            self._in_turn = False

    def close(self) -> None:
        for helper in self._helpers:
            helper.close()
        torch.set_num_threads(self._threads)

    def obey(self, trainer: Trainer, number: int, gradients: Sequence[Tensor], order: Order) -> Done:
        """Do what is to be done in the process of the replica of this number."""
        if order.episodes:
            self._prepare_share(number, order.episodes)
            return Done()
        trainer.updates, trainer.losses = order.updates, []
        mean_return = trainer.learn_alone(self._own if order.prepared else self._share(self._batch, number))
        for parameter, gradient in zip(trainer.policy.parameters(), gradients, strict=True):
            if parameter.grad is not None:
                gradient.copy_(parameter.grad)
        trainer.policy.zero_grad(set_to_none=True)
        return Done(float(trainer.losses[-1]), float(mean_return), torch.get_num_threads())

    def _columns(self, number: int) -> slice:
        size = self.num_envs // self.count
        return slice(number * size, (number + 1) * size)

    def _share(self, batch: EpisodeBatch, number: int) -> EpisodeBatch:
        columns = self._columns(number)
        return EpisodeBatch(
            batch.features[:, columns], batch.price_changes[:, columns], batch.noise[:, columns], batch.numbers[columns]
        )

    def _prepare_share(self, number: int, episodes: Sequence[int]) -> None:
        self._own = self._trainer_prepare(episodes[self._columns(number)])  # in one piece, unlike what is shared
        for kept, own in zip(_tensors(self._share(self._batch, number)), _tensors(self._own), strict=True):
            kept.copy_(own)


class _Helper:
    """A replica's process, as the trainer sees it. ``gradients``: of every weight, what it left."""

    def __init__(self, replicas: ReplicaProcesses, trainer: Trainer, number: int):
        self.gradients = [_shared_like(p.data, p.shape) for p in trainer.policy.parameters()]
        context = get_context("fork")
        self._connection, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, replicas, trainer, number, self.gradients), daemon=True
        )
        self._process.start()
        other.close()  # so that its end is seen
        self.process_id = self._process.pid or 0

    def tell(self, order: Order | None) -> None:
        """None: there will be no more."""
        with suppress(BrokenPipeError):  # the answer will say so
            self._connection.send(order)

    def answer(self) -> Done:
        """RuntimeError where it failed."""
        try:
            done: Done = self._connection.recv()
        except (EOFError, ConnectionResetError):
            done = Done(error="it has ended")
        if done.error:
            raise RuntimeError(f"process {self.process_id}, which learns from a share of the batch: {done.error}")
        return done

    def close(self) -> None:
        self.tell(None)
        self._process.join(END_TIMEOUT_S)
        self._process.kill()
        self._process.join()


def _serve(
    connection: Connection, replicas: ReplicaProcesses, trainer: Trainer, number: int, gradients: Sequence[Tensor]
) -> None:
    """Do what is asked for until there is no more, or nobody to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the trainer that ends
    trainer.replicas = replicas
    parent = parent_process()
    assert parent is not None
    while connection in wait([connection, parent.sentinel]) and (order := connection.recv()) is not None:
        try:
            done = replicas.obey(trainer, number, gradients, order)
        except Exception:  # noqa: BLE001 (whatever it is, the trainer is told)
            done = Done(error=traceback.format_exc())
        connection.send(done)


def replicas_for(num_envs: int) -> int:
    """As many as there are fast cores, or fewer, so that each has the same number of episodes, and several."""
    most = min(torch_device.fast_cores(), num_envs // 2)
    return max((n for n in range(1, most + 1) if num_envs % n == 0), default=1)


def _shared_like(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Zeros of this dtype in memory that processes forked from this one share with it."""
    size = math.prod(shape)
    memory = mmap.mmap(-1, size * tensor.element_size())
    return torch.frombuffer(memory, dtype=tensor.dtype, count=size).view(*shape)


def _shared_batch(one: EpisodeBatch, episodes: int) -> EpisodeBatch:
    """Room for so many episodes like this one."""
    by_step = (one.features, one.price_changes, one.noise)
    features, price_changes, noise = (_shared_like(t, (len(t), episodes, *t.shape[2:])) for t in by_step)
    return EpisodeBatch(features, price_changes, noise, _shared_like(one.numbers, (episodes,)))


def _tensors(batch: EpisodeBatch) -> tuple[Tensor, ...]:
    return batch.features, batch.price_changes, batch.noise, batch.numbers


def _add(trainer: Trainer, gradients: Sequence[Tensor]) -> None:
    pairs = [(p.grad, g) for p, g in zip(trainer.policy.parameters(), gradients, strict=True) if p.grad is not None]
    torch._foreach_add_([own for own, _ in pairs], [others for _, others in pairs])


def why_not_parallel(device: torch.device, options: LayerOptions) -> str | None:
    if reason := torch_device.why_no_replicas(device):
        return reason
    if replicas_for(options.num_envs) > 1:
        return None
    return f"{options.num_envs} environments cannot be shared out equally among up to {torch_device.fast_cores()} cores"


def why_not_suited(settings: Hyperparameters) -> str | None:
    if settings.algorithm != "reinforce":
        return "its processes learn by REINFORCE"
    return "its processes share episodes of one length, and those of a curriculum grow" if settings.curriculum else None


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, replicas=ReplicaProcesses)


def timed(trainer: Trainer) -> AbstractContextManager[None]:
    assert isinstance(trainer.replicas, ReplicaProcesses)
    trainer.replicas.learned.clear()
    trainer.replicas.threads.clear()
    trainer.backwards = 0
    return nullcontext()


def prove(trainer: Trainer) -> Proof:
    learned: dict[int, int] = getattr(trainer.replicas, "learned", {})
    evidence = {
        "processes": sorted(learned),
        "gradients_of_each": sorted(set(learned.values())),
        "threads_of_each": sorted(getattr(trainer.replicas, "threads", ())),
    }
    if not learned:
        return Proof(False, evidence, "no other process learned from a share of the batches")
    if evidence["threads_of_each"] != [1]:
        return Proof(False, evidence, "a process learned by several threads, in the way of those on other cores")
    if set(learned.values()) != {trainer.backwards}:
        return Proof(False, evidence, f"not every process learned from its share of {trainer.backwards} batches")
    return Proof(True, evidence)


LAYER = Layer(
    name="data-parallel",
    part="replicas",
    summary="a process of one thread on each core learns from its share of every batch, gradients are averaged",
    claim=Claim(low=1.5, high=2, text="1.5-2x on two cores", difficulty="medium", priority="high", source=OURS),
    apply=apply,
    prove=prove,
    unsupported=why_not_parallel,
    unsuited=why_not_suited,
    own_threads=True,
    timed=timed,
)
