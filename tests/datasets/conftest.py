import dataclasses
import json
import warnings
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headway.episodes import ArrayFrames, Episode, Stage, Truth
from headway_datasets.video import encode_video

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"


@pytest.fixture(scope="module")
def lerobot():
    """lerobot's own reader, kept off the network."""
    patch = pytest.MonkeyPatch()
    patch.setenv("HF_HUB_OFFLINE", "1")
    patch.setenv("SVT_LOG", "1")
    module = pytest.importorskip("lerobot.datasets.lerobot_dataset")
    yield module
    patch.undo()


@pytest.fixture
def real_recordings():
    if not REAL.is_dir():
        pytest.skip("the real recordings (../shared/data/real) are not here")
    return REAL


def square_at(number, side=64):
    """Left edge of the square in a scene's frame of that number."""
    return (3 * number) % (side - 16)


@pytest.fixture(scope="session")
def scene():
    """Makes frames (length, side, side, 3) in which a bright square tells the frame's number."""

    def make(length, side=64, first=0):
        frames = np.full((length, side, side, 3), 70, np.uint8)
        for index in range(length):
            left = square_at(first + index, side)
            frames[index, 24:40, left : left + 16] = (240, 235, 230)
        return frames

    return make


@pytest.fixture(scope="session")
def is_frame():
    """Whether a decoded picture is the scene's frame of that number."""

    def check(picture, number):
        bright = picture.mean(axis=-1) > 150
        columns = np.flatnonzero(bright.any(axis=0))
        left = square_at(number, picture.shape[1])
        return len(columns) > 0 and abs(columns[0] - left) <= 1 and abs(columns[-1] - left - 15) <= 1

    return check


@pytest.fixture(scope="session")
def episode(scene):
    """Makes episodes with everything an episode can have; each starts its scene at another frame number."""

    def make(index=0, length=20, names=("top",), side=64, **changes):
        rng = np.random.default_rng(index)
        progress = np.linspace(0, 1, length, dtype=np.float32)
        whole = Episode(
            index=index,
            first_frame=0,
            fps=10.0,
            cameras={
                name: ArrayFrames(scene(length, side, first=100 * index + 7 * place))
                for place, name in enumerate(names)
            },
            instruction=f"task {index % 2}",
            state=rng.normal(size=(length, 3)).astype(np.float32),
            environment_state=rng.normal(size=(length, 5)).astype(np.float32),
            action=rng.normal(size=(length, 2)).astype(np.float32),
            stages=(Stage("open", 0, 8), Stage("pick", 8, length)),
            success=index % 2 == 0,
            truth=Truth(
                progress=progress,
                stage=(progress > 0.5).astype(np.int64),
                success=progress > 0.9,
                stage_names=("open", "pick"),
                proportions=(0.4, 0.6),
            ),
            kind="expert" if index % 2 == 0 else "drop",
        )
        return dataclasses.replace(whole, **changes)

    return make


@pytest.fixture(scope="session")
def save_video():
    """Writes frames with any of FFmpeg's encoders; `times` gives each frame's own time in tenths of a second."""

    def save(path, frames, codec="libx264", pixels="yuv420p", times=None, **options):
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=10, options=options)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = pixels
            for index, frame in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format=pixels)
                picture.pts = index if times is None else times[index]
                picture.time_base = 1 / stream.codec_context.framerate
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        return path

    return save


@pytest.fixture(scope="session")
def save_v21():
    """Writes episodes by hand as LeRobot v2.1 lays them out, with the statistics that lerobot's converter asks for."""

    def stats(values):
        flat = values.reshape(len(values), -1).astype(np.float64)
        found = {name: getattr(flat, name)(axis=0).tolist() for name in ("min", "max", "mean", "std")}
        return found | {"count": [len(flat)]}

    def save(root, episodes, version="v2.1", chunk=1000, codec="h264"):
        cameras = list(episodes[0].cameras)
        tasks = list(dict.fromkeys(episode.instruction for episode in episodes))
        (root / "meta").mkdir(parents=True)
        lines, statistics, start = [], [], 0
        for number, episode in enumerate(episodes):
            place = f"chunk-{number // chunk:03d}"
            length = len(episode)
            columns = {"observation.state": episode.state, "action": episode.action}
            indices = {
                "timestamp": np.arange(length, dtype=np.float32) / np.float32(episode.fps),
                "frame_index": np.arange(length),
                "episode_index": np.full(length, number),
                "index": start + np.arange(length),
                "task_index": np.full(length, tasks.index(episode.instruction)),
            }
            start += length
            table = {key: pa.array(list(values), pa.list_(pa.float32())) for key, values in columns.items()}
            path = root / f"data/{place}/episode_{number:06d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(table | indices), path)
            pictures = {}
            for name in cameras:
                key = f"observation.images.{name}"
                video = root / f"videos/{place}/{key}/episode_{number:06d}.mp4"
                video.parent.mkdir(parents=True, exist_ok=True)
                encode_video(video, episode.cameras[name], episode.fps, codec)
                pixels = np.stack(list(episode.cameras[name])).transpose(0, 3, 1, 2) / 255
                pictures[key] = {
                    kind: getattr(pixels, kind)(axis=(0, 2, 3)).reshape(3, 1, 1).tolist()
                    for kind in ("min", "max", "mean", "std")
                } | {"count": [length]}
            lines.append({"episode_index": number, "tasks": [episode.instruction], "length": length})
            found = {key: stats(values) for key, values in (columns | indices).items()}
            statistics.append({"episode_index": number, "stats": found | pictures})
        sizes = {"observation.state": episodes[0].state.shape[1], "action": episodes[0].action.shape[1]}
        features = {key: {"dtype": "float32", "shape": [size], "names": None} for key, size in sizes.items()}
        for key, values in indices.items():
            features[key] = {"dtype": str(values.dtype), "shape": [1], "names": None}
        for name in cameras:
            shape = [*next(iter(episodes[0].cameras[name])).shape]
            names = ["height", "width", "channels"]
            features[f"observation.images.{name}"] = {"dtype": "video", "shape": shape, "names": names}
        info = {
            "codebase_version": version,
            "robot_type": None,
            "total_episodes": len(episodes),
            "total_frames": start,
            "total_tasks": len(tasks),
            "total_videos": len(episodes) * len(cameras),
            "total_chunks": 1,
            "chunks_size": chunk,
            "fps": int(episodes[0].fps),
            "splits": {"train": f"0:{len(episodes)}"},
            "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
            "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
            "features": features,
        }
        (root / "meta/info.json").write_text(json.dumps(info))
        tables = {
            "episodes": lines,
            "tasks": [{"task_index": number, "task": task} for number, task in enumerate(tasks)],
            "episodes_stats": statistics,
        }
        for name, rows in tables.items():
            (root / f"meta/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return root

    return save


@pytest.fixture
def save_minari(tmp_path, monkeypatch):
    """Writes a Minari dataset with minari itself; `observations(number, length)` gives length + 1 rows of each."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    import minari
    from gymnasium.spaces import Box
    from minari.data_collector.episode_buffer import EpisodeBuffer

    def save(name, space, observations, lengths=(5, 7), infos=None, actions=None, action_space=None, **options):
        buffers = []
        for number, length in enumerate(lengths):
            rng = np.random.default_rng(number)
            buffers.append(
                EpisodeBuffer(
                    id=number,
                    seed=number,
                    observations=observations(number, length),
                    actions=actions(number, length)
                    if actions
                    else rng.uniform(-1, 1, size=(length, 2)).astype(np.float32),
                    rewards=np.zeros(length),
                    terminations=np.arange(length) == length - 1,
                    truncations=np.zeros(length, bool),
                    infos=infos(number, length) if infos else {},
                )
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            minari.create_dataset_from_buffers(
                f"test/{name}-v0",
                buffers,
                observation_space=space,
                action_space=action_space or Box(-1, 1, (2,), np.float32),
                **options,
            )
        return tmp_path / f"minari/test/{name}-v0"

    return save
