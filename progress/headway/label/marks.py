"""What a person or a model marked in the episodes of one dataset, apart from the dataset itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from headway.episodes import Episode, Stage
from headway.errors import InvalidValue

PERSON = "person"


@dataclass(frozen=True)
class EpisodeMarks:
    """Of one episode.

    Attributes:
        length, fps: the episode's frames, and frames per second.
        stages: in order of time, without overlap; None where none is marked. Time may be left unmarked.
        success: None where nobody said.
        recording: `Episode.recording` of what was marked; by it marks of another recording are refused.
    """

    length: int
    fps: float
    stages: tuple[Stage, ...] | None = None
    success: bool | None = None
    recording: str | None = None

    def __post_init__(self) -> None:
        before = 0
        for stage in self.stages or ():
            if stage.start < before or stage.end > self.length:
                raise InvalidValue(
                    f"stage {stage.name!r} runs from frame {stage.start} to {stage.end}; stages may not overlap and "
                    f"must end within the episode's {self.length} frames"
                )
            before = stage.end

    @property
    def empty(self) -> bool:
        """Whether nothing is marked."""
        return not self.stages and self.success is None


@dataclass(frozen=True)
class Marks:
    """Of a dataset.

    Attributes:
        stage_names: the stages in the task's order; every mark is of one of them.
        episodes: number of an episode -> its marks; an episode without marks is absent.
        made_by: `person`, or the spec of the model that made them.
        fingerprint: of the dataset (`Source.fingerprint`) that was marked.
    """

    stage_names: tuple[str, ...]
    episodes: Mapping[int, EpisodeMarks]
    made_by: str
    fingerprint: str

    def __post_init__(self) -> None:
        check_names(self.stage_names)
        for index, marks in self.episodes.items():
            unknown = [stage.name for stage in marks.stages or () if stage.name not in self.stage_names]
            if unknown:
                known = ", ".join(self.stage_names) or "none"
                raise InvalidValue(f"episode {index} is marked with stage {unknown[0]!r}; the stages are: {known}")

    def with_episode(self, index: int, marks: EpisodeMarks) -> "Marks":
        """The same marks but for one episode; one that is empty is left out."""
        others = {number: kept for number, kept in self.episodes.items() if number != index}
        return replace(self, episodes=others if marks.empty else dict(sorted({**others, index: marks}.items())))


def marks_of(episode: Episode, stages: tuple[Stage, ...] | None, success: bool | None) -> EpisodeMarks:
    """Marks of an episode. Raises InvalidValue for stages that overlap or end after it."""
    return EpisodeMarks(len(episode), episode.fps, stages or None, success, episode.recording)


def check_names(names: tuple[str, ...]) -> None:
    """Raises InvalidValue for a stage without a name, or a name that comes twice."""
    if not all(name.strip() for name in names):
        raise InvalidValue("a stage has an empty name; give each a name")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InvalidValue(f"stage {twice[0]!r} is named twice; name each once (it may be marked as often as it comes)")
