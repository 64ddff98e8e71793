"""A curriculum: training episodes that grow from short and calm to long and volatile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .episodes import NUM_ACTIONS, EpisodeSource, PreparedMarket, training_generator
from .features import FIRST_DECISION
from .hyperparameters import Hyperparameters, Stage, in_whole_updates
from .market import Floats, MarketError


class CurriculumSource(EpisodeSource):
    """Draws the training episodes of each stage, from the calmest of the training part's stretches of its length.

    Curriculum learning: Bengio et al., 2009. All episodes of an update are of the stage that its first one belongs to,
    so that they have one length: ``stages`` are those, in whole updates. What is drawn depends on seed, number and
    episodes per update alone. The evaluation is that of any source.

    Raises MarketError when a stage has fewer stretches to choose from than an episode has decisions, and ValueError
    when a stage would be skipped.
    """

    def __init__(
        self,
        market: PreparedMarket,
        episode_length: int,
        seed: int,
        stages: Sequence[Stage],
        episodes_per_update: int,
    ):
        super().__init__(market, episode_length, seed)
        self.stages = in_whole_updates(stages, episodes_per_update)
        self._calm_first = {length: self._ranked(length) for length in map(self._length_of, self.stages)}
        fewest = min(self._choices(stage) for stage in self.stages)
        if fewest < episode_length:
            raise MarketError(
                f"{market.facts['name']}: {len(market)} candles are too few for a curriculum. Its calmest stage has "
                f"{fewest} places for an episode to begin, and needs {episode_length}. Give more candles, a smaller "
                "--episode-length, or leave out --curriculum."
            )

    def stage_of(self, episode: int) -> Stage:
        """The stage of a training episode."""
        return next(stage for stage in self.stages if stage.until is None or episode < stage.until)

    def draw(self, episode: int) -> tuple[int, Floats]:
        stage = self.stage_of(episode)
        rng = training_generator(self.seed, episode)
        length = self._length_of(stage)
        start = int(self._calm_first[length][rng.integers(self._choices(stage))])
        return start, rng.gumbel(size=(length, NUM_ACTIONS))

    def _length_of(self, stage: Stage) -> int:
        return stage.length_of(self.episode_length)

    def _choices(self, stage: Stage) -> int:
        return int(stage.calmest * self._train_starts)

    def _ranked(self, length: int) -> NDArray[np.int64]:
        """First decisions of all possible training episodes, by the mean squared return of so many steps from there."""
        close = np.asarray(self.market.close[FIRST_DECISION : self.split])
        sums = np.concatenate(([0.0], np.cumsum(np.diff(np.log(close)) ** 2)))
        first = np.arange(self._train_starts)
        volatility = sums[first + length] - sums[first]
        return FIRST_DECISION + np.argsort(volatility, kind="stable")


def make_source(
    market: PreparedMarket, settings: Hyperparameters, seed: int, episodes_per_update: int
) -> EpisodeSource:
    """The source of training episodes that is asked for."""
    if not settings.curriculum:
        return EpisodeSource(market, settings.episode_length, seed)
    return CurriculumSource(market, settings.episode_length, seed, settings.curriculum, episodes_per_update)
