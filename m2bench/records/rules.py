"""Which layers need others and which exclude each other, and what combinations that leaves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice

from .combinations import BASELINE, Layers, smallest_first


@dataclass(frozen=True)
class Rules:
    """Which layers need another one, and which exclude each other; without any, every combination can be.

    ``needs``: pairs of a layer and one that it needs. ``excludes``: pairs that cannot be on together.
    """

    needs: tuple[tuple[str, str], ...] = ()
    excludes: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.needs or self.excludes)

    def allow(self, layers: Collection[str]) -> bool:
        """Whether this combination can be."""
        lacking = any(layer in layers and needed not in layers for layer, needed in self.needs)
        return not lacking and not any(one in layers and other in layers for one, other in self.excludes)

    def allowed(self, layers: Layers) -> list[Layers]:
        """All combinations of these layers that can be, smallest first."""
        return smallest_first(self._growing(layers), layers)

    def allows_more_than(self, count: int, layers: Layers) -> bool:
        """Whether more than ``count`` combinations of these layers can be, of which no more are looked at."""
        return next(islice(self._growing(layers), count, None), None) is not None

    def _growing(self, layers: Layers) -> Iterator[Layers]:
        """Every combination that can be, once: the layers are gone through, those first that others need."""
        order = sorted(layers, key=lambda layer: len(self.needed([layer])))

        def grown(on: frozenset[str], following: int) -> Iterator[Layers]:
            if following == len(order):
                yield tuple(layer for layer in layers if layer in on)
                return
            yield from grown(on, following + 1)
            more = on | {order[following]}
            if self.allow(more):
                yield from grown(more, following + 1)

        return grown(frozenset(), 0)

    def among(self, layers: Collection[str]) -> Rules:
        """Those that are about these layers alone."""
        needs = tuple(pair for pair in self.needs if {*pair} <= {*layers})
        return Rules(needs, tuple(pair for pair in self.excludes if {*pair} <= {*layers}))

    def needed_by(self, layer: str) -> Layers:
        """Those that this layer needs."""
        return tuple(needed for name, needed in self.needs if name == layer)

    def excluded_by(self, layer: str) -> Layers:
        """Those that cannot be on beside this layer."""
        return tuple(other for pair in self.excludes if layer in pair for other in pair if other != layer)

    def needed(self, layers: Iterable[str]) -> set[str]:
        """These layers and all that they need."""
        found = {*layers}
        while more := {needed for layer, needed in self.needs if layer in found} - found:
            found |= more
        return found

    def needing(self, layer: str) -> set[str]:
        """The layer and all that need it."""
        found = {layer}
        while more := {name for name, needed in self.needs if needed in found} - found:
            found |= more
        return found

    def can_meet(self, layers: Collection[str]) -> bool:
        """Whether each of these layers can be switched on and off whatever the others are, somewhere at least.

        Only of such layers there is an interaction.
        """
        apart = all(one not in self.needed([other]) for one in layers for other in layers if one != other)
        return apart and self.allow(self.needed(layers))

    # What stands for "alone" and for "all together".

    def alone(self, layer: str, among: Layers) -> tuple[Layers, Layers]:
        """The smallest combination with the layer, and the same without it: the baseline where it needs nothing."""
        return _pair(layer, self.needed([layer]), among)

    def last(self, layer: str, among: Layers) -> tuple[Layers, Layers]:
        """The fullest combination with the layer in which nothing needs it, and the same without it."""
        others = tuple(x for x in among if x == layer or x not in self.needing(layer))
        return _pair(layer, self.fullest(others, (layer,)), among)

    def fullest(self, layers: Layers, begin: Iterable[str] = BASELINE) -> Layers:
        """All of the layers that can be on together with those in ``begin``, which always are.

        Of some that exclude each other, the one that is named first.
        """
        return self.joined(begin, layers, layers)

    def joined(self, begin: Iterable[str], others: Iterable[str], among: Layers) -> Layers:
        """The layers in ``begin`` with what they need, and of the others, in their order, what can be on beside it."""
        found = self.needed(begin)
        for layer in others:
            more = found | self.needed([layer])
            if more <= {*among} and self.allow(more):
                found = more
        return tuple(layer for layer in among if layer in found)

    def without(self, layer: str, combination: Layers) -> Layers:
        """The combination without the layer and without what needs it."""
        return tuple(other for other in combination if other not in self.needing(layer))


NO_RULES = Rules()


def _pair(layer: str, found: Collection[str], among: Layers) -> tuple[Layers, Layers]:
    over = tuple(x for x in among if x in found)
    return over, tuple(x for x in over if x != layer)


@dataclass(frozen=True)
class NamedLayers:
    """The layers of a system, in its order, and which of them need or exclude others.

    ``sets``: names that stand for several of them; ``default``: that of those taking part where none are named, None
    for all. ``compiling``: those whose first update compiles. ``recommended``: what pays on most machines. All as far
    as the system tells before it is described.
    """

    names: Layers = ()
    rules: Rules = NO_RULES
    sets: Mapping[str, Layers] = field(default_factory=dict)
    default: str | None = None
    compiling: Layers = ()
    recommended: Layers = ()

    def named(self, names: Iterable[str] | None) -> Layers:
        """Those that some names stand for, of layers or of sets; by default where there are none.

        The name of a set may be that of a layer, which it then is; ``all`` is a set of any system.
        """
        if names is None:
            return self.names if self.default is None else self.sets[self.default]
        sets = {"all": self.names, **self.sets}
        return tuple(chain.from_iterable((name,) if name in self.names else sets.get(name, (name,)) for name in names))
