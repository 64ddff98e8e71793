"""What a run of ``scale`` varies: where trials compute, and settings of the system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from .combinations import BASELINE, Layers, combination_name

Value = int | float | str


@dataclass(frozen=True)
class Setting:
    """A setting of the system and the values to try, the smallest first.

    ``layer``: the layer without which it is 1 and cannot be anything else; None where it is the system's own. ``one``,
    ``many``: the words for what it is a number of, empty where it has none but its name.
    """

    name: str
    values: tuple[Value, ...]
    layer: str | None = None
    one: str = ""
    many: str = ""

    @property
    def heading(self) -> str:
        """Over a column of values, and beside an axis of them."""
        return self.many or self.name

    def said(self, value: Value) -> str:
        """``64 environments``, or ``batch_size 64``."""
        number = value if isinstance(value, str) else f"{value:,}"
        return f"{number} {self.one if value == 1 else self.many}" if self.many else f"{self.name} {number}"


@dataclass(frozen=True)
class Place:
    """Where a trial computes: a device and torch's threads there; None where the trial itself chooses."""

    device: str | None = None
    threads: int | None = None

    @property
    def name(self) -> str:
        """``cpu-2``, in keys of trials."""
        return "-".join(str(part) for part in (self.device, self.threads) if part is not None)


@dataclass(frozen=True)
class Scale:
    """``combinations``: those that are trained, the baseline first. ``settings``: each value of one with each of
    the others.

    ``devices`` and ``threads`` are those asked for; ``places``, empty until that is known, those that there are.
    """

    combinations: tuple[Layers, ...] = (BASELINE,)
    devices: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    settings: tuple[Setting, ...] = ()
    places: tuple[Place, ...] = ()

    @property
    def axis(self) -> Setting | None:
        """The setting by which speed is shown: the first that is a number."""
        return next((setting for setting in self.settings if not isinstance(setting.values[0], str)), None)


@dataclass(frozen=True)
class Point:
    """What one trial of a run of ``scale`` trains, and where; ``values``: of the settings that take effect on it."""

    layers: Layers
    place: Place
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """In keys of trials: ``amp+batching.cpu-2.num_envs=8``, with nothing that a file's name cannot hold."""
        values = (quote(f"{name}={value}", safe="=") for name, value in sorted(self.values.items()))
        return ".".join(filter(None, (combination_name(self.layers), self.place.name, *values)))

    def said(self) -> str:
        """As progress shows it: ``amp+batching (cpu, 2 threads, num_envs 8)``, or the combination alone."""
        device, threads = self.place.device, self.place.threads
        where = [device or "", "" if threads is None else f"{threads} thread{'' if threads == 1 else 's'}"]
        told = ", ".join(filter(None, (*where, *(f"{name} {value}" for name, value in self.values.items()))))
        return combination_name(self.layers) + (f" ({told})" if told else "")
