"""A curriculum: training episodes that grow from short and calm to long and volatile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .episodes import NUM_ACTIONS, EpisodeSource, PreparedMarket, training_generator
from .features import FIRST_DECISION
from .hyperparameters import Hyperparameters, Stage
from .market import Floats, MarketError


class CurriculumSource(EpisodeSource):
    """Draws the training episodes of each stage by its length, from the calmest stretches of the training part.

    Curriculum learning: Bengio et al., 2009. All episodes of an update are of the stage that its first one belongs to,
    so that they have one length. What is drawn depends on seed, number and episodes per update alone. The evaluation
    is that of any source.

    Raises MarketError when a stage has fewer stretches to choose from than an episode has decisions.
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
        self.stages = tuple(stages)
        self.episodes_per_update = episodes_per_update
        self._by_volatility = self._calm_first()
        fewest = min(self._choices(stage) for stage in self.stages)
        if fewest < episode_length:
            raise MarketError(
                f"{market.facts['name']}: {len(market)} candles are too few for a curriculum. Its calmest stage has "
                f"{fewest} places for an episode to begin, and needs {episode_length}. Give more candles, a smaller "
                "--episode-length, or leave out --curriculum."
            )

    def stage_of(self, episode: int) -> Stage:
        """The stage of a training episode."""
        first = episode - episode % self.episodes_per_update
        return next(stage for stage in self.stages if stage.until is None or first < stage.until)

    def draw(self, episode: int) -> tuple[int, Floats]:
        stage = self.stage_of(episode)
        rng = training_generator(self.seed, episode)
        start = int(self._by_volatility[rng.integers(self._choices(stage))])
        return start, rng.gumbel(size=(stage.length_of(self.episode_length), NUM_ACTIONS))

    def _choices(self, stage: Stage) -> int:
        return int(stage.calmest * len(self._by_volatility))

    def _calm_first(self) -> NDArray[np.int64]:
        """First decisions of all possible training episodes, by the mean squared return of what follows."""
        close = np.asarray(self.market.close[FIRST_DECISION : self.split])
        sums = np.concatenate(([0.0], np.cumsum(np.diff(np.log(close)) ** 2)))
        first = np.arange(self._train_starts)
        volatility = sums[first + self.episode_length] - sums[first]
        return FIRST_DECISION + np.argsort(volatility, kind="stable")


def make_source(
    market: PreparedMarket, settings: Hyperparameters, seed: int, episodes_per_update: int
) -> EpisodeSource:
    """The source of training episodes that is asked for."""
    if not settings.curriculum:
        return EpisodeSource(market, settings.episode_length, seed)
    return CurriculumSource(market, settings.episode_length, seed, settings.curriculum, episodes_per_update)
