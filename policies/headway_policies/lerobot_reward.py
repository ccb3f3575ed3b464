"""`lerobot:PATH`: any reward model that lerobot 0.6 loads from a folder, as an estimator here.

What a model's reward means is known for lerobot's own and for ours; of others it is kept as `raw`, without progress:

    sarm, headway_*          progress in [0, 1]
    robometer                progress in [0, 1], or with reward_output=success whether the task is done
    reward_classifier        whether the task is done (two classes)
    topreward                a log-probability, on no scale

Every model is shown what its config asks for: `observation_delta_indices` around each frame, clamped to the episode as
lerobot's datasets do. A model without them that takes a trajectory (`max_frames`) is shown the frames so far, evenly
spaced, as lerobot's script for Robometer does (its script for TOPReward shows all of them); any other the frame itself.
A model that looks ahead is not causal, and says so.

On purpose unlike `compute_reward`: lerobot's SARM is read at the centre of its window, as lerobot's own progress script
does; its `compute_reward` reads four gaps later, and counts the empty places for rewinding as frames.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import torch
from lerobot.configs.rewards import RewardModelConfig
from lerobot.configs.types import FeatureType, NormalizationMode
from lerobot.rewards.factory import make_reward_model, make_reward_pre_post_processors
from lerobot.utils.import_utils import register_third_party_plugins
from safetensors.torch import load_file
from torch import Tensor

import headway_policies.lerobot_plugin  # noqa: F401 - lerobot loads our own models too
from headway.controls import missing_curve
from headway.episodes import Array, Episode, ProgressCurve
from headway.errors import CheckpointError, DatasetError, HeadwayError, Unsupported
from headway.estimator import Needs
from headway.pictures import frames_to_look_at, interpolate
from headway_datasets.lerobot_v3 import camera_name

CONFIG = "config.json"
BATCH = 16
PROGRESS, DONE, SCORE = "progress", "done", "score"
REASONS = {
    DONE: "this reward model says whether the task is done, not how far along it is",
    SCORE: "this reward model's reward lies on no known scale of progress",
}


def make(argument: str, device: str = "cpu") -> "LerobotReward":
    """Load a reward model from a folder; nothing is downloaded. Raises CheckpointError when it cannot be loaded."""
    folder = Path(argument)
    if not argument or not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"there is no lerobot reward model at {argument!r} ({CONFIG} is missing); give its folder as lerobot:PATH; "
            "one on the Hub is fetched with: hf download NAME --local-dir PATH"
        )
    try:
        # whatever somebody's folder makes lerobot and transformers raise, the user is told in one line
        with _offline(), redirect_stdout(io.StringIO()):
            register_third_party_plugins()
            config = RewardModelConfig.from_pretrained(folder)
            config.device, config.pretrained_path = device, str(folder)
            model = make_reward_model(config)
            prepare = _processor(config, folder)
    except HeadwayError:
        raise
    except Exception as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300].rstrip(".")
        raise CheckpointError(
            f"lerobot cannot load the reward model in {folder}: {reason}; models that its {CONFIG} names must be on "
            "this disk, too (hf download NAME)"
        ) from error
    return LerobotReward(f"lerobot:{argument}", _fingerprint(folder, config.type), config, model.eval(), prepare)


@dataclass(repr=False)
class LerobotReward:
    """A reward model of lerobot as an estimator.

    Attributes:
        config, model: lerobot's.
        prepare: its preprocessor, set to evaluation.
    """

    name: str
    fingerprint: str
    config: Any
    model: Any
    prepare: Any
    needs: Needs = field(init=False)

    def __post_init__(self) -> None:
        keys = dict(self.config.input_features)
        self.cameras = {key: camera_name(key) for key, part in keys.items() if part.type is FeatureType.VISUAL}
        self.states = [key for key, part in keys.items() if part.type in (FeatureType.STATE, FeatureType.ENV)]
        self.needs = Needs(
            instruction=self.config.type != "reward_classifier",
            state=bool(self.states),
            whole_episode=any(delta > 0 for delta in self.config.observation_delta_indices or ()),
        )

    def estimate(self, episodes: Iterable[Episode], stride: int = 1) -> Iterator[ProgressCurve]:
        for episode in episodes:
            if self.needs.instruction and not episode.instruction:
                reason = "this reward model judges by the instruction, and the episode has none; give one with --task"
                yield missing_curve(len(episode), self.fingerprint, reason)
            else:
                yield self._curve(episode, stride)

    def _curve(self, episode: Episode, stride: int) -> ProgressCurve:
        time = len(episode)
        looked_at = frames_to_look_at(time, stride)
        seen = np.zeros(time, dtype=bool)
        seen[looked_at] = True
        rewards = np.concatenate([self._judge(batch) for batch in self._batches(episode, looked_at)])
        raw = interpolate(rewards, looked_at, time)
        means = _meaning(self.config)
        member = getattr(self.model, "member", None)
        return ProgressCurve(
            values=raw.clip(0, 1) if means == PROGRESS else np.full(time, np.nan, np.float32),
            looked_at=seen,
            fingerprint=self.fingerprint,
            reason=REASONS.get(means),
            success=raw.clip(0, 1) if means == DONE else None,
            raw=raw,
            in_sample=member is not None and member.knows(episode),
        )

    @torch.no_grad()
    def _judge(self, batch: dict[str, Any]) -> Array:
        """The reward of each frame of a batch, float32 (frame,)."""
        try:
            given = self.prepare(batch)
            reward = _sarm_reward(self.model, given) if self.config.type == "sarm" else self.model.compute_reward(given)
        except HeadwayError:
            raise
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            shapes = ", ".join(f"{name} {tuple(batch[key].shape[-3:])}" for key, name in self.cameras.items())
            reason = " ".join(str(error).split())[:200]
            raise Unsupported(f"{self.name} cannot judge this dataset ({shapes}): {reason}") from error
        return torch.as_tensor(reward).float().cpu().numpy().reshape(-1)

    def _windows(self, looked_at: Array) -> Array:
        """The frames shown for each frame looked at, not yet clamped: int64 (frame, place)."""
        deltas = self.config.observation_delta_indices
        if deltas is not None:
            return looked_at[:, None] + np.asarray(deltas)[None]
        places = getattr(self.config, "max_frames", None)
        if places is None:
            return looked_at[:, None]
        return np.rint(np.linspace(0, looked_at, places, axis=1)).astype(np.int64)

    def _batches(self, episode: Episode, looked_at: Array) -> Iterator[dict[str, Any]]:
        """lerobot's batches, in order; pictures are decoded once and kept for as long as a window needs them."""
        windows = self._windows(looked_at)
        clamped = windows.clip(0, len(episode) - 1)
        kept: dict[int, tuple[Array, ...]] = {}
        decoded = enumerate(zip(*(episode.camera(name) for name in self.cameras.values()), strict=True))
        for start in range(0, len(looked_at), BATCH):
            rows = slice(start, start + BATCH)
            last = clamped[rows].max()
            while not kept or max(kept) < last:
                number, pictures = next(decoded)
                kept[number] = pictures
            yield self._batch(episode, looked_at[rows], windows[rows], kept)
            needed = set(clamped[rows.stop :].ravel().tolist()) | {max(kept)}
            kept = {number: pictures for number, pictures in kept.items() if number in needed}

    def _batch(
        self, episode: Episode, present: Array, windows: Array, kept: Mapping[int, tuple[Array, ...]]
    ) -> dict[str, Any]:
        """What lerobot's dataset and loader would give for these frames."""
        clamped = windows.clip(0, len(episode) - 1)
        timed = self.config.observation_delta_indices is not None or getattr(self.config, "max_frames", None)
        padding = torch.from_numpy(clamped != windows)
        batch: dict[str, Any] = {
            "task": [episode.instruction or ""] * len(present),
            "index": torch.from_numpy(present + episode.first_frame),
            "frame_index": torch.from_numpy(present),
            "episode_index": torch.full((len(present),), episode.index),
            "timestamp": torch.from_numpy(present / episode.fps).float(),
        }
        for place, key in enumerate(self.cameras):
            pixels = np.stack([np.stack([kept[number][place] for number in row]) for row in clamped.tolist()])
            pictures = torch.from_numpy(pixels).permute(0, 1, 4, 2, 3).float() / 255
            batch |= {key: pictures if timed else pictures[:, 0], f"{key}_is_pad": padding}
        for key in self.states:
            state = torch.from_numpy(self._state(episode, key)[clamped])
            batch |= {key: state if timed else state[:, 0], f"{key}_is_pad": padding}
        return batch

    def _state(self, episode: Episode, key: str) -> Array:
        state = episode.environment_state if key.endswith("environment_state") else episode.state
        if state is None:
            raise DatasetError(f"episode {episode.index} has no {key}, which {self.name} was trained with")
        return state


def _meaning(config: Any) -> str:
    """What a model's reward says."""
    if config.type == "sarm" or config.type.startswith("headway_"):
        return PROGRESS
    if config.type == "robometer":
        return DONE if config.reward_output == "success" else PROGRESS
    if config.type == "reward_classifier" and config.num_classes == 2:
        return DONE
    return SCORE


def _sarm_reward(model: Any, given: Mapping[str, Any]) -> Tensor:
    """lerobot's SARM at the centre of its window; see the top of this file."""
    rewards = model.calculate_rewards(
        given["text_features"],
        given["video_features"],
        given["state_features"],
        lengths=given["lengths"],
        frame_index=model.config.n_obs_steps // 2,
    )
    return torch.as_tensor(rewards)


def _processor(config: Any, folder: Path) -> Any:
    """The preprocessor, with the statistics that were saved beside the model, set to evaluation."""
    stats = _saved_stats(folder)
    modes = getattr(config, "normalization_mapping", None) or {}
    for key, part in config.input_features.items():
        if modes.get(part.type.value, NormalizationMode.IDENTITY) != NormalizationMode.IDENTITY and key not in stats:
            raise CheckpointError(
                f"{folder} lacks the statistics by which {key} is normalised; copy the preprocessor's files "
                "(*_preprocessor*.json and .safetensors), which lerobot-train saves beside the model, into it"
            )
    prepare, _ = make_reward_pre_post_processors(config, dataset_stats=stats)
    for step in prepare.steps:
        if hasattr(step, "eval"):
            step.eval()
    return prepare


def _saved_stats(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Feature -> statistic -> value, from the states of the normalisers that lerobot saved."""
    stats: dict[str, dict[str, Tensor]] = {}
    for path in sorted(folder.glob("*preprocessor*normalizer*.safetensors")):
        for name, value in load_file(path).items():
            key, _, statistic = name.rpartition(".")
            stats.setdefault(key, {})[statistic] = value
    return stats


def _fingerprint(folder: Path, kind: str) -> str:
    """From every file of the model; encoders that its config only names are not among them."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return f"lerobot-{kind}-{digest.hexdigest()[:16]}"


@contextmanager
def _offline() -> Iterator[None]:
    """lerobot's loaders cannot be told to use only what is on this disk."""
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = before
