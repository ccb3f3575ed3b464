"""What of a dataset is scored, and how."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from headway.episodes import Episode
from headway.errors import InvalidValue


@dataclass(frozen=True)
class ScoreOptions:
    """What of a dataset is scored, and how.

    Attributes:
        episodes: numbers of the episodes to score; None for all.
        stride: look at every `stride`-th frame.
        task: instruction for every episode, in place of the dataset's own.
        rename: how the dataset's cameras were renamed on opening it, as `old=new,...`; scores depend on it.
        shard: (i, n), only the i-th of n parts of these episodes, from 1; None for all of them.
    """

    episodes: tuple[int, ...] | None = None
    stride: int = 1
    task: str | None = None
    rename: str = ""
    shard: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise InvalidValue(f"a shard is i/n with i from 1 to n, got {self.shard[0]}/{self.shard[1]}")

    def wanted(self, available: Sequence[int]) -> Sequence[int]:
        """The episodes to score out of those of a dataset, in order. Raises InvalidValue for an empty shard.

        Shards are stretches of like numbers of episodes: what lies in one video file is mostly read by one process.
        """
        chosen = available if self.episodes is None else self.episodes
        if self.shard is None:
            return chosen
        number, count = self.shard
        part = chosen[len(chosen) * (number - 1) // count : len(chosen) * number // count]
        if not part:
            raise InvalidValue(
                f"{len(chosen)} episodes in {count} shards leave the shard {number}/{count} without any; take fewer"
            )
        return part

    def told(self, episode: Episode) -> Episode:
        """The episode with the instruction that was given, if one was."""
        return episode if self.task is None else replace(episode, instruction=self.task)

    def identity(self) -> dict[str, Any]:
        """Plain JSON; no word of a shard where there is none, as before there were shards."""
        content = asdict(self)
        content["episodes"] = None if self.episodes is None else list(self.episodes)
        content["shard"] = None if self.shard is None else list(self.shard)
        return {name: value for name, value in content.items() if name != "shard" or value is not None}
