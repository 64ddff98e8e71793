"""What descriptions of earlier versions do not tell: their unit was the episode, their layers the trading system's."""

from __future__ import annotations

from .documents import Document

UNIT = {"one": "episode", "many": "episodes"}
WORKS_AHEAD = "feed"
"""The part whose layers did so."""
NO_TARGET = (
    "no good policy is known for this market, and its held-out part is too short or too volatile to tell learning from "
    "luck"
)


def completed(description: Document) -> Document:
    """The description with what an earlier version left out."""
    if "system" in description:
        return description
    workload = description["workload"]
    because = None if workload.get("target") else NO_TARGET
    layers = [{**layer, "works_ahead": layer["part"] == WORKS_AHEAD} for layer in description["layers"]]
    system = {"unit": UNIT, "facts": _facts(workload), "no_target_because": because}
    return {**description, "system": system, "layers": layers}


def _facts(workload: Document) -> dict[str, str]:
    """What was trained, as reports show it; nothing of a system of somebody's own, which told what it liked."""
    if "hyperparameters" not in workload:
        return {}
    market, settings, good_return = workload["market"], workload["hyperparameters"], workload["good_return"]
    return {
        "market": f"{market['name']}, {market['candles']:,} candles",
        "known good policy": f"{good_return:.3g} % per held-out episode" if good_return else "none on this market",
        "environments per batch": str(workload["options"]["num_envs"]),
        "episode": f"{settings['episode_length']} decisions",
        "policy": settings["policy_size"],
        "learning rate follows episodes per update": settings.get("lr_scaling", "none"),
    }
