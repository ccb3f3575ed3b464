"""The protocol that every dataset reader meets; the readers themselves are in `headway_datasets`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from headway.episodes import Episode


class Source(Protocol):
    """A dataset on disk, opened for reading only.

    Attributes:
        root: the folder or file it was opened from.
        format: a short name of its layout (`lerobot-v3`, `robomimic-hdf5`, `video-folder`, ...).
        fingerprint: changes whenever its content does; made from sizes, names and metadata, without decoding.
        cameras: names of the cameras, the same for all episodes.
        episode_indices: the numbers of its episodes, in order.
        stage_names: the stages of its annotation in the task's order, or None when nobody annotated it.
        dense_stage_names: the same of its dense annotation.
    """

    root: Path
    format: str
    fingerprint: str
    cameras: tuple[str, ...]
    episode_indices: Sequence[int]
    stage_names: tuple[str, ...] | None
    dense_stage_names: tuple[str, ...] | None

    def __len__(self) -> int:
        """How many episodes there are."""
        ...

    def episode(self, index: int) -> Episode:
        """One episode by its number; its video is not decoded yet. Raises UnknownName or DatasetError."""
        ...

    def __iter__(self) -> Iterator[Episode]: ...
