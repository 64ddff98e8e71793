"""The same policy, episode and learning as the trading system's, wholly in jitted JAX: one program for many updates.

Prints one JSON line. The market's features are drawn beforehand, so that preparing them costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from contestant import asked, timed

CANDLES, STEPS, FEATURES, ACTIONS = 20_000, 128, 60, 3
WIDTHS = {"macro": (60, 128, 64, 32, 64, 128), "micro": (188, 128, 64), "head": (194, 104)}
RATES = {"macro": 1e-4, "micro": 5e-4, "head": 5e-4, "logits": 5e-4}
MACRO_INTERVAL, DISCOUNT, PENALTY, CLIP = 2, 0.99, 0.01, 1.0
UPDATES = 8  # in one call

Tree = dict[str, Any]


def initial_parameters(key: jax.Array) -> Tree:
    """Linear and LayerNorm of every block, by part; and the last linear layer."""

    def block(key: jax.Array, wide: int, out: int) -> dict[str, jax.Array]:
        weight = jax.random.uniform(key, (wide, out), minval=-1, maxval=1) / jnp.sqrt(wide)
        return {"weight": weight, "bias": jnp.zeros(out), "scale": jnp.ones(out), "shift": jnp.zeros(out)}

    keys = iter(jax.random.split(key, 16))
    parts: Tree = {
        name: [block(next(keys), wide, out) for wide, out in pairwise(widths)] for name, widths in WIDTHS.items()
    }
    last = jax.random.uniform(next(keys), (WIDTHS["head"][-1], ACTIONS), minval=-1, maxval=1)
    return {**parts, "logits": {"weight": last / jnp.sqrt(WIDTHS["head"][-1]), "bias": jnp.zeros(ACTIONS)}}


def blocks(part: list[dict[str, jax.Array]], x: jax.Array) -> jax.Array:
    for one in part:
        y = x @ one["weight"] + one["bias"]
        centred = y - y.mean(-1, keepdims=True)
        normal = centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        x = jax.nn.relu(normal * one["scale"] + one["shift"])
    return x


def logits_of(parameters: Tree, macro: jax.Array, micro: jax.Array, account: jax.Array) -> jax.Array:
    """Logits (..., 3) of states: macro and micro features (..., 60) and the account (..., 2)."""
    embedding = blocks(parameters["macro"], macro)
    detail = blocks(parameters["micro"], jnp.concatenate((micro, embedding), -1))
    decided = blocks(parameters["head"], jnp.concatenate((embedding, detail, account), -1))
    return decided @ parameters["logits"]["weight"] + parameters["logits"]["bias"]


def make_update(macro: jax.Array, micro: jax.Array, changes: jax.Array, num_envs: int) -> Callable[..., Any]:
    """One update: play ``num_envs`` episodes, REINFORCE with returns normalized within each, Adam."""

    def play(parameters: Tree, key: jax.Array) -> tuple[jax.Array, ...]:
        start_key, noise_key = jax.random.split(key)
        start = jax.random.randint(start_key, (num_envs,), 0, CANDLES - STEPS)
        noise = jax.random.gumbel(noise_key, (STEPS, num_envs, ACTIONS))

        def step(account: jax.Array, at: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, tuple[jax.Array, ...]]:
            time, drawn = at
            row = start + time
            action = (logits_of(parameters, macro[row], micro[row], account) + drawn).argmax(-1)
            before = account[:, 0]
            position = jnp.where(action == 0, before, 3.0 - 2.0 * action)
            profit = position * changes[row]
            reward = 100 * profit - PENALTY * (position != before)
            return jnp.stack((position, account[:, 1] + profit), -1), (row, account, action, reward)

        begin = jnp.stack((jnp.zeros(num_envs), jnp.ones(num_envs)), -1)
        played: tuple[jax.Array, ...] = jax.lax.scan(step, begin, (jnp.arange(STEPS), noise))[1]
        return played

    def loss(parameters: Tree, row: jax.Array, account: jax.Array, action: jax.Array, returns: jax.Array) -> jax.Array:
        chances = jax.nn.log_softmax(logits_of(parameters, macro[row], micro[row], account))
        taken = jnp.take_along_axis(chances, action[..., None], -1)[..., 0]
        return -(taken * returns).sum(0).mean()

    def update(carry: tuple[Tree, Tree, Tree, jax.Array], key: jax.Array) -> tuple[Any, jax.Array]:
        parameters, mean, square, count = carry
        row, account, action, reward = play(parameters, key)
        _, returns = jax.lax.scan(
            lambda later, now: ((total := now + DISCOUNT * later), total), jnp.zeros(num_envs), reward, reverse=True
        )
        returns = (returns - returns.mean(0)) / (returns.std(0) + 1e-8)
        gradient = jax.grad(loss)(parameters, row, account, action, returns)
        length = jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(gradient)))
        gradient = jax.tree.map(lambda leaf: leaf * jnp.minimum(1.0, CLIP / (length + 1e-6)), gradient)
        count = count + 1
        turn = (count % MACRO_INTERVAL == 0).astype(jnp.float32)
        new: list[Tree] = [{}, {}, {}]
        for name, rate in RATES.items():
            takes = turn if name == "macro" else 1.0  # the macro part keeps everything as it is when it is not its turn
            steps = count // MACRO_INTERVAL if name == "macro" else count
            now = adam(parameters[name], mean[name], square[name], gradient[name], rate, jnp.maximum(steps, 1), takes)
            for tree, part in zip(new, now, strict=True):
                tree[name] = part
        return (*new, count), reward.sum(0).mean()

    return update


def adam(
    parameters: Any, mean: Any, square: Any, gradient: Any, rate: float, count: jax.Array, takes: Any
) -> tuple[Any, Any, Any]:
    """Kingma & Ba, "Adam: A method for stochastic optimization", 2015; as it was where ``takes`` is 0."""
    new_mean = jax.tree.map(lambda m, g: m + takes * 0.1 * (g - m), mean, gradient)
    new_square = jax.tree.map(lambda s, g: s + takes * 0.001 * (g * g - s), square, gradient)
    moved = jax.tree.map(
        lambda p, m, s: p - takes * rate * (m / (1 - 0.9**count)) / (jnp.sqrt(s / (1 - 0.999**count)) + 1e-8),
        parameters, new_mean, new_square,
    )  # fmt: skip
    return moved, new_mean, new_square


def main() -> None:
    words = asked(__doc__)
    rng = np.random.default_rng(0)
    macro, micro = (jnp.asarray(rng.normal(size=(CANDLES, FEATURES)), jnp.float32) for _ in range(2))
    changes = jnp.asarray(rng.normal(0, 1e-3, CANDLES), jnp.float32)
    update = make_update(macro, micro, changes, words.num_envs)
    several = jax.jit(lambda carry, keys: jax.lax.scan(update, carry, keys))
    parameters = initial_parameters(jax.random.PRNGKey(0))
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = {"carry": (parameters, zeros, zeros, jnp.zeros((), jnp.int32)), "key": jax.random.PRNGKey(1)}

    def run() -> float:
        state["key"], own = jax.random.split(state["key"])
        state["carry"], returns = several(state["carry"], jax.random.split(own, UPDATES))
        assert np.isfinite(np.asarray(returns)).all()
        return float(UPDATES * words.num_envs)

    parameter_count = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    timed(run, words.seconds, num_envs=words.num_envs, parameters=parameter_count)


if __name__ == "__main__":
    main()
