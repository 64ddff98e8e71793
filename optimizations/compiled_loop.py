"""Layer ``compiled-loop``: the steps of all episodes as one compiled function."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from m2bench.baselines.environment import CAPITAL, BatchedTradingEnv
from m2bench.baselines.parts import Forward, Market, Parts, Played
from m2bench.baselines.phases import phase
from m2bench.baselines.trainer import Trainer
from m2bench.devices import compiler

from .layer import OURS, Claim, Layer, LayerOptions, Proof

scan: Any = None
with suppress(ImportError):  # not part of torch's public interface: another version may be without it
    from torch._higher_order_ops.scan import scan


class CompiledLoop:
    """One step, compiled, and the loop over it as a scan: T steps are one call.

    What else was tried, and what it takes: docs/decisions/029-further-layers.md.
    """

    def __init__(self, decide: nn.Module, device: torch.device, backend: str | None):
        self.decide = decide
        self.compiled = compiler.Compiled(self._play, device, backend)

    def __call__(self, decide: Forward, market: Market) -> Played:
        assert market.encoding is not None
        with phase("forward"):
            return Played(*self.compiled(market.encoding, market.price_changes, market.noise))

    def _play(self, encoding: Tensor, price_changes: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        position = torch.zeros_like(price_changes[0])
        account = position, torch.full_like(position, CAPITAL)
        account, played = scan(self._step, account, (encoding, price_changes, noise))
        states, actions, rewards = played
        last_state = BatchedTradingEnv().resume(encoding[-1:, :, :0], price_changes[-1:], *account)
        return states, actions, rewards, last_state

    def _step(
        self, account: tuple[Tensor, Tensor], seen: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
        encoding, price_changes, noise = seen
        env = BatchedTradingEnv()
        state = env.resume(encoding[None, :, :0], price_changes[None], *account)
        action = (self.decide(state, encoding).float() + noise).argmax(dim=1)
        _, reward, _ = env.step(action)
        return (env.position, env.cash), (state, action, reward)


def why_no_loop(device: torch.device, options: LayerOptions) -> str | None:
    if scan is None:
        return f"torch {torch.__version__} is without the scan operator, torch._higher_order_ops.scan"
    return compiler.why_no_compile(device, options.compile_backend)


def apply(parts: Parts, options: LayerOptions) -> Parts:
    return replace(parts, loop=partial(CompiledLoop, backend=options.compile_backend))


def timed(trainer: Trainer) -> AbstractContextManager[None]:
    assert isinstance(trainer.loop, CompiledLoop)
    return compiler.no_recompiles([trainer.loop.compiled])


def prove(trainer: Trainer) -> Proof:
    if not isinstance(trainer.loop, CompiledLoop):
        return Proof(False, {}, "the loop over the steps is not a compiled one")
    return compiler.prove_compiled([trainer.loop.compiled], "loop", trainer.device, trainer.precision.autocast)


LAYER = Layer(
    name="compiled-loop",
    part="loop",
    summary="the loop over the steps as one compiled function, a scan",
    claim=Claim(low=1.2, high=2, text="1.2-2x", difficulty="medium", priority="medium", source=OURS),
    apply=apply,
    prove=prove,
    unsupported=why_no_loop,
    compiles=True,
    timed=timed,
)
