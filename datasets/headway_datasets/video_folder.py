"""Reading a folder of videos, with or without a table beside them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from headway.episodes import Episode, Stage
from headway.errors import DatasetError, UnknownName, VideoError
from headway_datasets.annotation import stage_order, stages_from_marks
from headway_datasets.cameras import renamed
from headway_datasets.fingerprint import fingerprint
from headway_datasets.folder_entries import KEYFRAMES, ONLY_CAMERA, TABLES, Entry, Mark, read_entries
from headway_datasets.video import VideoFrames, VideoInfo, probe


class VideoFolder:
    """A folder of mp4, webm, gif, mkv, avi or mov files, or one such file (`headway.source.Source`).

    Without a table, a video right in the folder is an episode of one camera called `camera`, and a sub-folder is an
    episode whose cameras are its videos, called as their files without the suffix; episodes are in order of name. A
    folder with an `annotated_keyframes.json` is itself one episode. File names are never taken for instructions.

    `episodes.csv` or `episodes.json` lists the episodes instead: `video` (a file, or a sub-folder of cameras) or one
    column a camera (in JSON also `cameras`, a map), and where known `instruction`, `success` (true, false or empty)
    and `stages` (`open:0-40;pick:40-90` in frames, `open:0s-1.5s` in seconds; in JSON a list of objects with name,
    start and end, or start_s and end_s) and, likewise, more and finer `dense_stages`. It must name every video in the
    folder.

    All episodes of a source have the same cameras: those that every episode has. Where no camera is common to all,
    the first of each episode, by name, is seen as `camera`; rename another to `camera` to see that one instead.

    Raises DatasetError for a folder without videos, a wrong table, or cameras of one episode that differ in length;
    VideoError when files cannot be opened, naming the first and counting them; UnknownName for a rename of a camera
    that does not exist.
    """

    format = "video-folder"

    def __init__(self, root: Path | str, rename: Mapping[str, str] | None = None):
        self.root = Path(root)
        try:
            entries = read_entries(self.root)
            folder = self.root.parent if self.root.is_file() else self.root
            self.fingerprint = fingerprint(folder, _files(folder, entries) if self.root.is_dir() else [self.root])
        except OSError as error:
            raise DatasetError(f"{self.root} cannot be read: {error}; check its permissions") from error
        self._infos = _probe_all(entries)
        self._entries = entries
        self._videos = _named_cameras(entries, rename)
        self.cameras = tuple(self._videos[0])
        self.episode_indices: Sequence[int] = range(len(entries))
        lengths = [_length(entry, self._infos) for entry in entries]
        self._starts = list(accumulate(lengths, initial=0))
        self._stages = [self._read_stages(index, entry.marks) for index, entry in enumerate(entries)]
        self._dense_stages = [
            self._read_stages(index, entry.dense_marks, ", dense_stages") for index, entry in enumerate(entries)
        ]
        self.stage_names = self._order(self._stages)
        self.dense_stage_names = self._order(self._dense_stages)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(index) for index in self.episode_indices)

    def __repr__(self) -> str:
        return f"VideoFolder({str(self.root)!r}, episodes={len(self)}, cameras={list(self.cameras)})"

    def episode(self, index: int) -> Episode:
        """One episode by its number; its video is not decoded yet. Raises UnknownName."""
        if not 0 <= index < len(self):
            raise UnknownName("episode", str(index), [f"0 to {len(self) - 1}"])
        entry = self._entries[index]
        return Episode(
            index=index,
            first_frame=self._starts[index],
            fps=self._fps(index),
            cameras={
                name: VideoFrames(path, self._infos[path].frames, f"episode {index}, camera {name}")
                for name, path in self._videos[index].items()
            },
            instruction=entry.instruction,
            stages=self._stages[index],
            dense_stages=self._dense_stages[index],
            success=entry.success,
            recording=fingerprint(self.root, self._videos[index].values()) if self.root.is_dir() else self.fingerprint,
        )

    def _fps(self, index: int) -> float:
        return self._infos[next(iter(self._videos[index].values()))].fps

    def _read_stages(self, index: int, marks: Sequence[Mark] | None, column: str = "") -> tuple[Stage, ...] | None:
        """An episode's marks as stages; messages name `column` after the episode."""
        if marks is None:
            return None
        frames = [mark.frames(self._fps(index)) for mark in marks]
        return stages_from_marks(
            frames, _length(self._entries[index], self._infos), f"{self.root}: episode {index}{column}"
        )

    def _order(self, stages: Sequence[tuple[Stage, ...] | None]) -> tuple[str, ...] | None:
        annotated = [(marks, entry.success) for marks, entry in zip(stages, self._entries, strict=True) if marks]
        return stage_order([marks for marks, _ in annotated], [success for _, success in annotated])


def _files(root: Path, entries: Sequence[Entry]) -> set[Path]:
    """Every file that belongs to the dataset."""
    videos = {path for entry in entries for path in entry.videos.values()}
    beside = {path.parent / KEYFRAMES for path in videos} | {root / name for name in (*TABLES, KEYFRAMES)}
    return videos | {path for path in beside if path.is_file()}


def _probe_all(entries: Sequence[Entry]) -> dict[Path, VideoInfo]:
    """Look at every video once; raises one VideoError for all those that cannot be opened."""
    infos: dict[Path, VideoInfo] = {}
    problems = []
    for path in dict.fromkeys(path for entry in entries for path in entry.videos.values()):
        try:
            infos[path] = probe(path)
        except VideoError as error:
            problems.append(str(error))
    if problems:
        more = f" (and {len(problems) - 1} more of {len(infos) + len(problems)} videos)" if len(problems) > 1 else ""
        raise VideoError(problems[0] + more)
    return infos


def _length(entry: Entry, infos: Mapping[Path, VideoInfo]) -> int:
    """The episode's frames; raises DatasetError when its cameras disagree."""
    lengths = {path.name: infos[path].frames for path in entry.videos.values()}
    if len(set(lengths.values())) > 1:
        folder = next(iter(entry.videos.values())).parent
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DatasetError(
            f"the cameras of one episode in {folder} differ in length (frames): {shown}; cut them to one length, or "
            f"open {folder} itself or list them in episodes.csv if each is an episode of its own"
        )
    return next(iter(lengths.values()))


def _named_cameras(entries: Sequence[Entry], rename: Mapping[str, str] | None) -> list[dict[str, Path]]:
    """Each episode's videos under the names of the cameras that all episodes have."""
    changes = dict(rename or {})
    known = dict.fromkeys(name for entry in entries for name in entry.videos)
    for old in changes:
        if old not in known:
            raise UnknownName("camera to rename", old, known)
    named = []
    for entry in entries:
        own = {old: new for old, new in changes.items() if old in entry.videos}
        names = renamed(list(entry.videos), own)
        named.append({names[old]: path for old, path in entry.videos.items()})
    common = [name for name in named[0] if all(name in videos for videos in named)]
    if common:
        return [{name: videos[name] for name in common} for videos in named]
    return [{ONLY_CAMERA: next(iter(videos.values()))} for videos in named]
