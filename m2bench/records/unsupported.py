"""The refusal to begin with a layer that cannot run here."""

from __future__ import annotations

from collections.abc import Collection

from .description import Description
from .errors import UserError


def refuse_unsupported(asked: Collection[str], description: Description, advice: str) -> None:
    """Raise UserError, with the advice, for the first layer of ``asked`` that cannot run where this was described."""
    for layer in description.layers:
        if layer.name in asked and layer.unsupported:
            raise UserError(f"the layer {layer.name} cannot run here: {layer.unsupported}.", advice)
