"""Whether several independent ratios, each with its own scatter, are shown to differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .distributions import f_tail
from .estimate import Estimate

MANY = 1e9  # degrees of freedom of a standard error that is known


def change(new: Estimate, old: Estimate, common_sd: float = 0.0) -> Estimate:
    """The ratio of one ratio to another independent one; its p value is that of ``difference_p`` of the two.

    Welch, "The generalization of Student's problem", 1947. Without an interval where one of them has none.
    """
    ratio = new.ratio / old.ratio
    if new.log_se is None or old.log_se is None:
        return Estimate(ratio)
    known = [_variance(each, common_sd) for each in (new, old)]
    total = sum(variance for variance, _ in known)
    unknown = sum(variance**2 / degrees for variance, degrees in known)
    return Estimate.from_log(math.log(ratio), math.sqrt(total), min(total**2 / unknown, MANY) if unknown else MANY)


def difference_p(estimates: Sequence[Estimate], common_sd: float = 0.0) -> float | None:
    """P of the test that all ratios are the same; None for fewer than two, or where one has no standard error.

    ``common_sd``: the known standard deviation, of the logarithm, of what each has in common with all of its trials,
    which their scatter does not show. With two estimates it is Welch's t test. Welch, "On the comparison of several
    mean values: an alternative approach", 1951.
    """
    groups = len(estimates)
    if groups < 2 or any(not each.log_se or not each.degrees for each in estimates):
        return None
    logs = [math.log(each.ratio) for each in estimates]
    variances, degrees = zip(*(_variance(each, common_sd) for each in estimates), strict=True)
    weights = [1 / variance for variance in variances]
    total = sum(weights)
    centre = sum(weight * log for weight, log in zip(weights, logs, strict=True)) / total
    between = sum(weight * (log - centre) ** 2 for weight, log in zip(weights, logs, strict=True)) / (groups - 1)
    unknown = sum((1 - weight / total) ** 2 / each for weight, each in zip(weights, degrees, strict=True))
    f = between / (1 + 2 * (groups - 2) / (groups**2 - 1) * unknown)
    return f_tail(f, groups - 1, min((groups**2 - 1) / (3 * unknown), MANY))


def _variance(estimate: Estimate, common_sd: float) -> tuple[float, float]:
    """Of the logarithm, with what is common to all trials; and its degrees of freedom.

    What is known adds no uncertainty to the variance (Satterthwaite, 1946).
    """
    se = estimate.log_se or 0.0
    variance = se**2 + common_sd**2
    return variance, (estimate.degrees or MANY) * (variance / se**2) ** 2 if se else MANY
