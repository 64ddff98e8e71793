"""What the layers do to learning."""

from __future__ import annotations

from m2bench.report.sentences import counted, tells_of_learning
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import LayerRow, LearningOfLayer
from m2bench.text.figures import NOT_KNOWN, NOTHING, is_known, percent_within, times_within
from m2bench.text.speed import Speed
from m2bench.text.tables import Table


def learning_table(summary: Summary) -> Table | None:
    """One row per layer: what its speed is worth once the units that learning takes are counted."""
    if not tells_of_learning(summary):
        return None
    units, told, target = summary.system.unit.many, summary.learning.told, summary.learning.target
    measure = told or (target.measure if target and target.is_told else "return")
    sooner = "time to target" if told is None else f"time to same {told}"
    level, needed = Speed.of(summary.system).compared, f"{units} needed"
    rows = [
        (
            layer.name,
            times_within(layer.speed.alone),
            times_within(layer.learning.episodes_needed),
            times_within(layer.time_to_target),
            _gain_surviving(layer),
            layer.learning.learning,
            _learning_remark(layer.learning, measure),
        )
        for layer in summary.layers
    ]
    columns = ("layer", level, needed, sooner, "gain surviving", "learning", "because")
    return Table(
        title=f"Effect of each layer alone on learning, as ratios ({sooner}: above 1 is sooner)",
        columns=columns,
        rows=rows,
        numeric=frozenset(columns[1:5]),
        droppable=("because", level, "gain surviving", needed),
    )


def _gain_surviving(layer: LayerRow) -> str:
    """Of a gain in speed that is shown, what is left as time to target; a loss on the whole is called one."""
    is_gain = layer.speed.alone is not None and layer.speed.alone.shows_gain
    if not is_gain or layer.time_to_target is None:
        return NOTHING
    if layer.time_to_target.value > 1:
        return percent_within(layer.gain_surviving)
    return "net loss" if layer.time_to_target.shows_loss else "net loss, not shown"


def _learning_remark(found: LearningOfLayer, measure: str) -> str:
    effect = found.learning_effect
    if effect is None or effect.interval is None:
        return found.learning_reason
    low, high = effect.interval
    change = (
        f"{_signed(effect.value)} [{_signed(low)}, {_signed(high)}]" if is_known(effect.percent(), "%") else NOT_KNOWN
    )
    what = "learned" if measure == "loss" else "return"  # a loss falls, and below 0 is less
    return f"{found.learning_reason}: {what} {change}, {counted(found.learning_seeds, 'seed')}"


def _signed(share: float) -> str:
    """In whole percent, of which 0 is not negative."""
    return f"{round(share, 2) + 0.0:+.0%}"
