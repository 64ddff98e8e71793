"""Whether several independent ratios, each with its own scatter, are shown to differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .distributions import f_tail
from .estimate import Estimate

MANY = 1e9  # degrees of freedom of a standard error that is known


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
    known = [(each.log_se or 0.0, each.degrees or 0.0) for each in estimates]
    variances = [se**2 + common_sd**2 for se, _ in known]
    # What is known adds no uncertainty to the variance (Satterthwaite, 1946).
    degrees = [degrees * (variance / se**2) ** 2 for variance, (se, degrees) in zip(variances, known, strict=True)]
    weights = [1 / variance for variance in variances]
    total = sum(weights)
    centre = sum(weight * log for weight, log in zip(weights, logs, strict=True)) / total
    between = sum(weight * (log - centre) ** 2 for weight, log in zip(weights, logs, strict=True)) / (groups - 1)
    unknown = sum((1 - weight / total) ** 2 / each for weight, each in zip(weights, degrees, strict=True))
    f = between / (1 + 2 * (groups - 2) / (groups**2 - 1) * unknown)
    return f_tail(f, groups - 1, min((groups**2 - 1) / (3 * unknown), MANY))
