"""What was claimed for each layer against what was measured."""

from __future__ import annotations

from matplotlib.patches import Rectangle

from m2bench.findings.gains import INDIFFERENT
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import LayerRow
from m2bench.text.figures import NOT_KNOWN, times_within
from m2bench.text.speed import Speed

from .style import (
    GAIN,
    GRID,
    INK,
    LOSS,
    MUTED,
    Chart,
    NotDrawn,
    beside,
    drawing,
    interval,
    ratio_axis,
    reach,
    rows,
    span,
)

NAME = "claims"
COLOURS = {"confirmed": GAIN, "exceeded": GAIN, "refuted": LOSS, "short": LOSS}


def draw(summary: Summary) -> Chart | NotDrawn:
    """A band per layer for the claim, a point with its interval for the layer alone."""
    layers = [layer for layer in summary.layers if layer.claim.claim is not None]
    measured = [layer for layer in layers if layer.claimed_effect is not None]
    if not measured:
        return NotDrawn(NAME, "no layer was measured alone")
    with drawing(1.5 + 0.5 * len(layers)) as canvas:
        (axis,) = canvas.axes
        rows(axis, [_label(layer) for layer in layers])
        seen: list[float] = []
        for row, layer in enumerate(layers):
            assert layer.claim.claim is not None
            low, high = layer.claim.claim
            if low == high:
                low, high = low * (1 - INDIFFERENT), high * (1 + INDIFFERENT)  # as it is judged
            band = Rectangle((low, row - 0.34), high - low, 0.68, facecolor=GRID, edgecolor=MUTED, linewidth=0.8)
            axis.add_patch(band)
            seen += [low, high]
            if layer.claimed_effect is not None:
                interval(axis, row, layer.claimed_effect, COLOURS.get(layer.verdict or "", INK))
                seen += reach([layer.claimed_effect])
            beside(axis, row, _beside(layer))
        ratio_axis(axis, *span(seen))
        axis.set_xlabel("layer alone over the baseline (log scale)")
        return canvas.finish(
            NAME,
            _title(measured),
            f"Grey bands: the claims. Points: the layer alone with its 95 % interval, on "
            f"{Speed.of(summary.system).compared} or on the phase that the claim is about.",
        )


def _label(layer: LayerRow) -> str:
    return f"{layer.name}\n({layer.claim.claim_phase} only)" if layer.claim.claim_phase else layer.name


def _beside(layer: LayerRow) -> str:
    if layer.claimed_effect is None:
        return NOT_KNOWN if layer.verdict == "inconclusive" else layer.verdict or "not measured"
    return f"{times_within(layer.claimed_effect)}\n{layer.verdict}"


def _title(measured: list[LayerRow]) -> str:
    holds, fails, open_ = (
        [layer.name for layer in measured if layer.verdict in verdicts]
        for verdicts in (("confirmed", "exceeded"), ("refuted", "short"), ("inconclusive",))
    )
    said = [f"{len(holds)} of {len(measured)} claims on speed hold" + (f" ({', '.join(holds)})" if holds else "")]
    if fails:
        said.append(f"{len(fails)} do{'es' * (len(fails) == 1)} not ({', '.join(fails)})")
    if open_:
        said.append(f"{len(open_)} {'is' if len(open_) == 1 else 'are'} inconclusive ({', '.join(open_)})")
    return "; ".join(said)
