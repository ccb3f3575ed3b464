"""Which cameras of a dataset are seen, and under which names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from headway.episodes import Episode
from headway.errors import InvalidValue, UnknownName
from headway.source import Source


def renamed(names: Sequence[str], rename: Mapping[str, str] | None) -> dict[str, str]:
    """Each camera's own name -> the name it goes by.

    Raises UnknownName for a rename of a camera that does not exist, InvalidValue when two end with one name.
    """
    changes = dict(rename or {})
    for old in changes:
        if old not in names:
            raise UnknownName("camera to rename", old, names)
    result = {name: changes.get(name, name) for name in names}
    for new in changes.values():
        same = [old for old, now in result.items() if now == new]
        if len(same) > 1:
            raise InvalidValue(f"cameras {' and '.join(same)} would both be called {new!r}; choose another name")
    return result


class CameraSelection:
    """A source of which only some cameras are seen, in the order asked for; everything else is the source's own."""

    def __init__(self, source: Source, cameras: Sequence[str]):
        """Raises UnknownName for a camera that the source lacks, InvalidValue for none or one named twice."""
        for name in cameras:
            if name not in source.cameras:
                raise UnknownName("camera", name, source.cameras)
        if not cameras or len(set(cameras)) < len(cameras):
            raise InvalidValue(f"cameras must be named once each, and at least one, got {list(cameras)}")
        self._source = source
        self.root = source.root
        self.format = source.format
        self.fingerprint = source.fingerprint
        self.cameras = tuple(cameras)
        self.episode_indices = source.episode_indices
        self.stage_names = source.stage_names
        self.dense_stage_names = source.dense_stage_names

    def __len__(self) -> int:
        return len(self._source)

    def episode(self, index: int) -> Episode:
        """One episode by its number, with the selected cameras."""
        episode = self._source.episode(index)
        return replace(episode, cameras={name: episode.camera(name) for name in self.cameras})

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(index) for index in self.episode_indices)
