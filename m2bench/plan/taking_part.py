"""Which layers take part in a run, and what makes that impossible. Pure."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

from m2bench.errors import UserError
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.rules import NamedLayers, Rules


def taking_part(known: NamedLayers, named: Collection[str] | None) -> NamedLayers:
    """All layers of a system, or those named, with the rules among them.

    Raises UserError where a layer is missing that another one needs, and for rules that contradict each other.
    """
    refuse_contradictions(known)
    names = known.names if named is None else tuple(layer for layer in known.names if layer in named)
    lacking = [pair for pair in known.rules.needs if pair[0] in names and pair[1] not in names]
    if lacking:
        layer, needed = lacking[0]
        raise UserError(f"the layer {layer} needs {needed}, which does not take part.", f"Add {needed} to --layers.")
    return NamedLayers(names, known.rules.among(names))


def refuse_contradictions(known: NamedLayers) -> None:
    """Raise UserError for rules about a layer that there is not, and for layers that can never be on."""
    rules = known.rules
    unknown = [name for name in chain.from_iterable((*rules.needs, *rules.excludes)) if name not in known.names]
    if unknown:
        raise UserError(
            f"the trainer says that a layer needs or excludes {unknown[0]!r}, and it has no such layer.",
            f"There are: {', '.join(known.names)}.",
        )
    for layer in known.names:
        needed = rules.needed([layer])
        if any(layer in rules.needed([other]) for other in needed - {layer}) or (layer, layer) in rules.needs:
            circle = [name for name in known.names if name in needed and layer in rules.needed([name])]
            raise UserError(
                f"the layers {', '.join(circle)} need each other."
                if len(circle) > 1
                else f"the layer {layer} needs itself.",
                "Make one layer of what is only ever on together, or remove one of the needs.",
            )
        if not rules.allow(needed):
            one, other = next(pair for pair in rules.excludes if {*pair} <= needed)
            raise UserError(
                f"the layer {layer} can never be on: with what it needs, {one} and {other} are on, which exclude each "
                "other.",
                "Remove one of the needs, or let them not exclude each other.",
            )


def refuse_impossible(combination: Layers, rules: Rules) -> None:
    """Raise UserError for a combination that cannot be."""
    for layer, needed in rules.needs:
        if layer in combination and needed not in combination:
            raise UserError(f"{combination_name(combination)} cannot be: {layer} needs {needed}.", f"Add {needed}.")
    for one, other in rules.excludes:
        if {one, other} <= {*combination}:
            raise UserError(
                f"{combination_name(combination)} cannot be: {one} and {other} exclude each other.",
                "Leave one of them out.",
            )
