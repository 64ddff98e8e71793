"""Fingerprints of trials compared: what differs between two of equal seed, and what does not repeat itself. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.results import Calls, Fingerprint
from m2bench.store.stored_trial import StoredTrial

NAMED = 3  # things of one kind that differ
WORDS = {
    "operators": "operators",
    "compiled": "compiled graphs",
    "optimizers": "optimizers",
    "loaders": "data loaders",
    "helpers": "processes and threads",
    "modes": "modes and replays",
    "settings": "settings of torch",
    "weights": "trained weights",
    "losses": "losses",
}
"""For each kind of feature."""
WHERE_BOTH_TELL = ("weights", "losses")
"""Kinds that are compared only if both sides have them: one that is missing may only have been invisible."""

Trait = tuple[str, ...]
"""A kind, and what it is of that kind."""
Traits = Mapping[Trait, object]


@dataclass(frozen=True)
class Differing:
    """What differs between two combinations at any seed of both.

    ``by_layer``: what is evidence of the layer in which they differ. ``by_itself``: what also differs, or may, between
    two trials of one combination.
    """

    by_layer: frozenset[Trait] = frozenset()
    by_itself: frozenset[Trait] = frozenset()

    @property
    def nothing(self) -> bool:
        """Whether the fingerprints are equal."""
        return not self.by_layer and not self.by_itself

    def __or__(self, other: Differing) -> Differing:
        return Differing(self.by_layer | other.by_layer, self.by_itself | other.by_itself)


class Fingerprints:
    """The fingerprints of a run's trials by combination and seed; of several trials with both, the first."""

    def __init__(self, trials: Iterable[StoredTrial]):
        self._features: dict[tuple[Layers, int], Traits] = {}
        repeated: defaultdict[int, list[Traits]] = defaultdict(list)
        for trial in trials:
            if trial.timed.fingerprint is not None:
                found = traits_of(trial.timed.fingerprint, trial.timed.losses)
                self._features.setdefault((trial.spec.layers, trial.spec.seed), found)
                if trial.spec.layers == BASELINE:
                    repeated[trial.spec.seed].append(found)
        self.unstable = frozenset(
            feature for first, *others in repeated.values() for other in others for feature in _differing(first, other)
        )
        """What the baseline itself does not repeat at equal seeds."""
        self.combinations = {layers for layers, _ in self._features}
        varying = {layers: self._seen_to_vary(layers) for layers in self.combinations}
        self._varying = {layers: varying[layers] - varying.get(BASELINE, set()) for layers in self.combinations}
        """By combination, what varies from seed to seed, though it does not with the baseline."""

    def pairs(self, layer: str) -> dict[Layers, Differing]:
        """For each combination that also ran without the layer: what differs, at any seed that both have.

        A difference is by the layer if what one of the two trials shows is known to repeat itself. The baseline does;
        so does what another trial shows as well, unless it varies from seed to seed with layers that both have.
        """
        found: defaultdict[Layers, Differing] = defaultdict(Differing)
        for (layers, seed), with_it in self._features.items():
            fewer = tuple(other for other in layers if other != layer)
            without = self._features.get((fewer, seed))
            if layer in layers and without is not None:
                differing = frozenset(_differing(with_it, without)) - self.unstable
                found[layers] |= self._attributed(differing, seed, fewer, layers)
        return dict(found)

    def like_the_baseline(self) -> set[Layers]:
        """Combinations that show nothing but what the baseline shows, at every seed that both have."""
        compared: defaultdict[Layers, list[bool]] = defaultdict(list)
        for (layers, seed), found in self._features.items():
            plain = self._features.get((BASELINE, seed))
            if layers != BASELINE and plain is not None:
                compared[layers].append(not {*_differing(found, plain)} - self.unstable)
        return {layers for layers, alike in compared.items() if all(alike)}

    def _attributed(self, differing: frozenset[Trait], seed: int, fewer: Layers, layers: Layers) -> Differing:
        if fewer == BASELINE:
            return Differing(by_layer=differing)
        steady = differing.difference(*(found for part, found in self._varying.items() if {*part} <= {*layers}))
        by_layer = frozenset(f for f in steady if self._told_again(f, fewer, seed) or self._told_again(f, layers, seed))
        return Differing(by_layer, differing - by_layer)

    def _seen_to_vary(self, combination: Layers) -> set[Trait]:
        """What varies from seed to seed."""
        first, *others = [found for (layers, _), found in self._features.items() if layers == combination]
        return {feature for other in others for feature in _differing(first, other)}

    def _told_again(self, feature: Trait, combination: Layers, seed: int) -> bool:
        """Whether another trial, of this combination or with this seed, shows the same."""
        value = self._features[combination, seed].get(feature)
        return any(
            (layers == combination) is not (of == seed) and found.get(feature) == value
            for (layers, of), found in self._features.items()
        )

    def following(self, layer: str) -> frozenset[Trait]:
        """What always comes with a layer: one value in all combinations with it and others without, or the reverse."""
        seed = min((seed for _, seed in self._features), default=0)
        on, off = (
            [found for (layers, of), found in self._features.items() if of == seed and (layer in layers) is is_on]
            for is_on in (True, False)
        )
        told = {feature for found in (*on, *off) for feature in found if feature[0] not in WHERE_BOTH_TELL}
        values = {feature: [{found.get(feature) for found in side} for side in (on, off)] for feature in told}
        return (
            frozenset(
                feature
                for feature, (with_it, without) in values.items()
                if min(len(with_it), len(without)) == 1 and with_it.isdisjoint(without)
            )
            - self.unstable
        )

    @property
    def unstable_share(self) -> float:
        """The share of the baseline's operators that it does not repeat."""
        of_baseline = (found for (layers, _), found in self._features.items() if layers == BASELINE)
        operators = {feature[1] for found in of_baseline for feature in found if feature[0] == "operators"}
        return len(operators & {feature[1] for feature in self.unstable if feature[0] == "operators"}) / max(
            1, len(operators)
        )

    @property
    def looked_at(self) -> str:
        """What is compared, in words."""
        told = {feature[0] for found in self._features.values() for feature in found}
        return ", ".join(words for kind, words in WORDS.items() if kind not in WHERE_BOTH_TELL or kind in told)


def traits_of(found: Fingerprint, losses: tuple[float | None, ...]) -> Traits:
    """All that can be compared one by one: of a fingerprint, and of the losses up to its update."""
    told: dict[Trait, object] = {
        ("losses", str(n)): loss for n, loss in enumerate(losses[: found.update], 1) if loss is not None
    }
    if found.weights is not None:
        told["weights",] = found.weights
    for each in fields(found):
        value = getattr(found, each.name)
        for key, one in value.items() if isinstance(value, Mapping) else ():
            if isinstance(one, Calls):
                told |= {(each.name, key, "calls"): one.calls, (each.name, key, "given"): one.given}
            else:
                told[each.name, key] = one
    return told


def _differing(a: Traits, b: Traits) -> set[Trait]:
    return {
        feature
        for feature in {**a, **b}
        if a.get(feature) != b.get(feature) and (feature[0] not in WHERE_BOTH_TELL or (feature in a and feature in b))
    }


def named(differing: Iterable[Trait]) -> str:
    """What differs, in words: some of each kind by name."""
    by_kind: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for feature in sorted(differing):
        by_kind[feature[0]].update(dict.fromkeys(feature[1:2]))
    return ", ".join(_named(kind, [*by_kind[kind]]) for kind in WORDS if kind in by_kind)


def _named(kind: str, names: list[str]) -> str:
    if kind in WHERE_BOTH_TELL:
        return WORDS[kind]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{WORDS[kind]} ({', '.join(names[:NAMED])}{more})"
