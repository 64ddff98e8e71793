"""The options of the trading system, without torch: a command line needs them as well."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from m2bench.records.spec import Options


@dataclass(frozen=True)
class TradingOptions:
    """Choices of the user, the first few of the trainer, the others of layers."""

    episode_length: int = 128
    policy: str = "default"
    lr_scaling: str = "none"
    num_envs: int = 32
    compile_backend: str | None = None
    num_workers: int = 4
    accumulation_steps: int = 4


def asked_for(options: TradingOptions) -> Options:
    """Those that are not as they are by default."""
    usual = asdict(TradingOptions())
    return {name: value for name, value in asdict(options).items() if value != usual[name]}
