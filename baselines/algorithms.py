"""The trainers, by what they learn with."""

from __future__ import annotations

import torch

from .episodes import EpisodeSource
from .hyperparameters import Algorithm, Hyperparameters
from .parts import Parts
from .ppo_trainer import PPOTrainer
from .trainer import Trainer

TRAINERS: dict[Algorithm, type[Trainer]] = {"reinforce": Trainer, "ppo": PPOTrainer}


def make_trainer(
    parts: Parts, source: EpisodeSource, settings: Hyperparameters, seed: int, device: torch.device
) -> Trainer:
    """The trainer of the algorithm that is asked for, assembled from parts."""
    return TRAINERS[settings.algorithm](parts, source, settings, seed, device)
