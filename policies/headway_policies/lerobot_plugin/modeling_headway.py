"""The reward models: a Headway network behind lerobot's `compute_reward`, and for SARM `forward`, which trains it."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from huggingface_hub import snapshot_download
from lerobot.configs.rewards import RewardModelConfig
from lerobot.rewards.factory import get_reward_model_class, make_reward_model_config
from lerobot.rewards.pretrained import PreTrainedRewardModel
from torch import Tensor

from headway.errors import CheckpointError, InvalidValue, Unsupported
from headway.learned.estimator import Learned, judge
from headway_datasets.lerobot_layout import CAMERA_PREFIX
from headway_policies.lerobot_plugin.batches import Windows, read_batch
from headway_policies.lerobot_plugin.configuration_headway import (
    HeadwayClassifierConfig,
    HeadwayConfig,
    HeadwayHeadsConfig,
    HeadwaySarmConfig,
    HeadwayVipConfig,
)
from headway_policies.lerobot_plugin.teaching import SarmTeacher, fresh_sarm
from headway_policies.lerobot_plugin.transfer import describe, load_run

TYPE = "headway_"


class HeadwayRewardModel(PreTrainedRewardModel):
    """A trained estimator as a reward model; the reward of a window is the progress at its last frame, in [0, 1].

    Attributes:
        method, member, eyes: as in `headway.learned.estimator.Learned`; `network` is the member's.
    """

    name = "headway"
    config_class = HeadwayConfig

    def __init__(
        self,
        config: HeadwayConfig,
        dataset_stats: Any = None,
        dataset_meta: Any = None,
        learned: Learned | None = None,
    ):
        """`learned` is the estimator; lerobot itself passes the other three. Raises CheckpointError without one."""
        super().__init__(config)
        if learned is None:
            raise CheckpointError(
                f"lerobot does not train {config.type}; give a trained one with --reward_model.path or pretrained_path"
            )
        self.method, self.member, self.eyes = learned.method, learned.members[0], learned.eyes
        self.network = self.member.network
        _agree(config, learned)
        self.config.checkpoint = describe(self.method, self.member)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_name_or_path: str | Path,
        *,
        config: RewardModelConfig | None = None,
        dataset_stats: Any = None,
        dataset_meta: Any = None,
        **download: Any,
    ) -> Self:
        """Load what lerobot saved, `export_to_lerobot` wrote or `headway train` wrote, from a folder or the Hub.

        Raises CheckpointError when it holds another estimator, or none.
        """
        folder = _local(pretrained_name_or_path, download)
        if config is None:
            config = RewardModelConfig.from_pretrained(folder)
        learned = load_run(folder, config.type.removeprefix(TYPE), config.device or "cpu")
        model = cls(config, dataset_stats, dataset_meta, learned=learned)
        return model.to(config.device).eval()

    @torch.no_grad()
    def compute_reward(self, batch: dict[str, Any]) -> Tensor:
        """Progress of each window of a batch, float32 (window,), in [0, 1]; equal to the estimator's own curve.

        Raises DatasetError or InvalidValue for a batch without windows, Unsupported for an estimator whose scores
        were never mapped to progress.
        """
        self.eval()
        windows = self._read(batch)
        features = self._encode(windows).flatten(0, 1)
        offsets = np.arange(len(windows))[:, None] * windows.places.shape[1]
        index = np.where(windows.places < 0, windows.places, windows.places + offsets)
        rewards = np.empty(len(windows), np.float32)
        for task in sorted(set(windows.tasks)):
            rows = np.flatnonzero([given == task for given in windows.tasks])
            verdict = judge(self.method, self.member, features, index[rows], self.eyes.words.encode(task))
            rewards[rows] = self.member.calibration.progress_of(verdict)
        if np.isnan(rewards).any():
            raise Unsupported("this run has no map from raw scores to progress; train it with held-out episodes")
        return torch.from_numpy(rewards).to(self.config.device or "cpu")

    def _read(self, batch: dict[str, Any]) -> Windows:
        return read_batch(batch, self.config.image_keys, 1 + self.method.inputs.history, self.eyes)

    def _encode(self, windows: Windows, features: Tensor | None = None) -> Tensor:
        """The network's features of every frame, (window, 1 + history, width); `features` stand in for the batch's."""
        device = next(self.network.parameters()).device
        seen = torch.as_tensor(windows.features if features is None else features, device=device).to(torch.float32)
        state = None if windows.state is None else torch.as_tensor(windows.state, device=device).flatten(0, 1)
        return self.network.encode(seen.flatten(0, 1), state).unflatten(0, seen.shape[:2])


class HeadwaySarmRewardModel(HeadwayRewardModel):
    """SARM, which lerobot can train too, on a dataset with stage marks (`sparse_subtask_*` columns)."""

    name = "headway_sarm"
    config_class = HeadwaySarmConfig

    def __init__(
        self,
        config: HeadwaySarmConfig,
        dataset_stats: Any = None,
        dataset_meta: Any = None,
        learned: Learned | None = None,
    ):
        """Without `learned` an untrained one is made for the dataset. Raises DatasetError when nobody marked it."""
        if learned is None and dataset_meta is not None:
            learned = fresh_sarm(config, dataset_meta)
        super().__init__(config, dataset_stats, dataset_meta, learned)
        # lerobot saves the optimiser's state as it lies in memory, and cannot save one with channels last
        self.network.to(memory_format=torch.contiguous_format)
        self.teacher: SarmTeacher | None = None
        if dataset_meta is not None:
            _check_rate(config, dataset_meta.fps)
            self.teacher = SarmTeacher.of(self.method, self.member, self.eyes, dataset_meta)

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """The loss of a batch, and its terms: those of `headway.learned.sarm` at each window's last frame."""
        if self.teacher is None:
            raise Unsupported("a model made without a dataset cannot be trained; give make_reward_model dataset_meta")
        windows = self._read(batch)
        lesson = self.teacher.prepare(windows, batch, self.training)
        return self.teacher.loss(self.network, self._encode(windows, lesson.features), lesson)


class HeadwayHeadsRewardModel(HeadwayRewardModel):
    """`heads`, loaded."""

    name = "headway_heads"
    config_class = HeadwayHeadsConfig


class HeadwayVipRewardModel(HeadwayRewardModel):
    """`vip`, loaded."""

    name = "headway_vip"
    config_class = HeadwayVipConfig


class HeadwayClassifierRewardModel(HeadwayRewardModel):
    """`classifier`, loaded."""

    name = "headway_classifier"
    config_class = HeadwayClassifierConfig


def make_model(learned: Learned, fps: float) -> HeadwayRewardModel:
    """The reward model of an estimator, for data of so many frames per second.

    Raises CheckpointError when lerobot has not been told of its method.
    """
    name = TYPE + learned.method.name
    if name not in RewardModelConfig.get_known_choices():
        raise CheckpointError(f"{learned.name} has no reward model for lerobot; of our estimators only some have")
    config = make_reward_model_config(name, fps=fps, device=learned.device)
    return get_reward_model_class(name)(config, learned=learned)


def _agree(config: HeadwayConfig, learned: Learned) -> None:
    """What the estimator was trained with is not for a command line to change; the camera's key and the rate are."""
    inputs = learned.method.inputs
    config.gap_seconds, config.history, config.use_state = inputs.gap_seconds, inputs.history, inputs.use_state
    config.image_keys = config.image_keys or [CAMERA_PREFIX + camera for camera in inputs.cameras]
    if len(config.image_keys) != len(inputs.cameras):
        raise InvalidValue(
            f"the estimator was trained with the cameras {', '.join(inputs.cameras)}; --reward_model.image_keys names "
            f"{len(config.image_keys)}, needs {len(inputs.cameras)}"
        )
    config.declare_features()


def _check_rate(config: HeadwayConfig, fps: float) -> None:
    if fps != config.fps:
        raise InvalidValue(
            f"the dataset has {fps:g} frames per second, the windows were asked for at {config.fps:g}; set "
            f"--reward_model.fps={fps:g}"
        )


def _local(given: str | Path, download: dict[str, Any]) -> Path:
    """A folder as it is, a hub name as lerobot takes it: downloaded."""
    if Path(given).is_dir():
        return Path(given)
    options = {key: download[key] for key in ("revision", "token", "cache_dir", "local_files_only") if key in download}
    return Path(snapshot_download(str(given), allow_patterns=["config.json", "model.safetensors"], **options))
