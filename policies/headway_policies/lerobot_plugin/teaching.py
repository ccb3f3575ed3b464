"""How lerobot's training loop teaches our SARM: the terms of `headway.learned.sarm` on batches of lerobot's windows.

lerobot draws single frames, where Headway's own training takes whole strided runs; so here each window teaches one
label, that of its last frame. Rewinding, augmentation and wrong instructions are drawn for each window on its own. The
marks come from the dataset's episode table, which lerobot gives a model when it is made, and which its processors of
other packages never see. Not done here: dense marks, early stopping, calibration, cached features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from headway.encoders.make import make_frame_encoder, make_text_encoder
from headway.episodes import Array, Episode
from headway.errors import UnknownName
from headway.learned.augment import augment
from headway.learned.estimator import Eyes, Learned
from headway.learned.inputs import InputConfig, state_of
from headway.learned.members import Member, recordings
from headway.learned.method import Knowledge, Method, TaskEpisodes, TrainingConfig
from headway.learned.sarm import Sarm, stage_terms
from headway.learned.trunk import Sizes
from headway.learned.windows import PADDING, rewind
from headway.learned.wrong_text import Negatives, Texts, instructions_of
from headway_datasets.lerobot_v3 import LeRobotV3, camera_name
from headway_policies.lerobot_plugin.batches import Windows
from headway_policies.lerobot_plugin.configuration_headway import HeadwaySarmConfig


@dataclass(frozen=True, repr=False)
class Taught:
    """A batch as it is shown and what is to be said of it.

    Attributes:
        features: the encoder's, perhaps augmented, (window, 1 + history, camera, *shape).
        windows: int64 (window, 1 + history), which place of its own window is seen at each place, PADDING for none.
        stage: int64 (window,), -1 unknown.
        within: float32 (window,), NaN unknown.
        text: float32 (window, dimension).
    """

    features: Tensor
    windows: Array
    stage: Array
    within: Array
    text: Array


@dataclass(frozen=True, repr=False)
class SarmTeacher:
    """What batches are taught by.

    Attributes:
        method: the settings.
        knowledge: the scale of the stages.
        negatives: where wrong instructions are drawn from.
        stage, within: the labels of every frame of the dataset, by its index.
        deltas: int64 (1 + history,), frames from a window's present to each of its places.
    """

    method: Sarm
    knowledge: Knowledge
    negatives: Negatives
    stage: Array
    within: Array
    deltas: Array

    @classmethod
    def of(cls, method: Method, member: Member, eyes: Eyes, dataset_meta: Any) -> Self:
        """Label every frame. Raises UnknownName for a stage that the network does not know."""
        assert isinstance(method, Sarm)
        episodes = list(LeRobotV3(dataset_meta.root))
        stage = np.full(max(episode.first_frame + len(episode) for episode in episodes), -1, np.int64)
        within = np.full(len(stage), np.nan, np.float32)
        for episode in episodes:
            labels = method.label(episode, 0, member.knowledge)
            if labels is not None:
                place = slice(episode.first_frame, episode.first_frame + len(episode))
                stage[place], within[place] = labels["stage"], labels["within"]
        instructions = instructions_of([episode.instruction for episode in episodes])
        negatives = Negatives(Texts(eyes.words), (instructions,), method.wrong_text)
        gap = method.inputs.gap_seconds * dataset_meta.fps
        back = np.rint(np.arange(method.inputs.history - 1, -1, -1) * gap).astype(np.int64)
        return cls(method, member.knowledge, negatives, stage, within, np.concatenate([[0], -back]))

    def prepare(self, given: Windows, batch: Mapping[str, Any], training: bool) -> Taught:
        """Draw what a batch is shown as; outside training nothing is drawn."""
        features = torch.as_tensor(given.features).to(torch.float32)
        windows = given.places
        text = np.stack([self.negatives.texts.encode(task) for task in given.tasks])
        wrong = np.zeros(len(given), dtype=bool)
        if training:
            # by torch's generator, which lerobot seeds
            rng = np.random.default_rng(int(torch.randint(2**31, ())))
            features = torch.stack([augment(window, rng) for window in features])
            windows = rewind(windows, self.method.rewind, rng)
            drawn = [self.negatives.draw(task, 0, 1, rng) for task in given.tasks]
            text, wrong = (np.concatenate(part) for part in list(zip(*drawn, strict=True))[:2])
        # a rewound window ends on another picture, whose label is its label
        frames = batch["index"].cpu().numpy() + self.deltas[windows[:, -1]]
        assert self.knowledge.scales is not None
        stage = np.where(wrong, self.knowledge.scales.first(0), self.stage[frames])
        return Taught(features, windows, stage, np.where(wrong, np.float32(0), self.within[frames]), text)

    def loss(self, network: Any, encoded: Tensor, taught: Taught) -> tuple[Tensor, dict[str, float]]:
        """The mean loss over features (window, 1 + history, width), and its terms. Unmarked frames enter no term."""
        device = encoded.device
        index = torch.as_tensor(taught.windows, device=device)
        rows = torch.arange(len(index), device=device)[:, None]
        text = torch.as_tensor(taught.text, device=device)
        outputs = network.judge(encoded[rows, index.clamp(min=0)], index == PADDING, text)
        stage, within = (torch.as_tensor(part, device=device) for part in (taught.stage, taught.within))
        terms = stage_terms("", outputs["stage"], outputs["within"], stage, within)
        means = {name: term.weight * term.total / max(term.count, 1) for name, term in terms.items()}
        return torch.stack(list(means.values())).sum(), {f"{name}_loss": mean.item() for name, mean in means.items()}


def fresh_sarm(config: HeadwaySarmConfig, dataset_meta: Any) -> Learned:
    """An untrained SARM for a marked dataset. Raises DatasetError when nobody marked it, or it has no state to show."""
    source = LeRobotV3(dataset_meta.root)
    keys = {camera_name(key): key for key in config.image_keys}
    for name in keys:
        if name not in source.cameras:
            raise UnknownName("camera", name, source.cameras, "Name it with --reward_model.image_keys")
    inputs = InputConfig(
        cameras=tuple(keys) or source.cameras,
        encoder=config.encoder,
        text_encoder=config.text_encoder,
        use_state=config.use_state,
        image_size=config.image_size,
        gap_seconds=config.gap_seconds,
        history=config.history,
    )
    training = TrainingConfig(learning_rate=config.learning_rate, weight_decay=config.weight_decay, validation=0)
    method = Sarm(inputs, training, rewind=config.rewind, wrong_text=config.wrong_text)
    episodes = list(source)
    device = config.device or "cpu"
    frames = make_frame_encoder(inputs.encoder, inputs.image_size, device)
    texts = make_text_encoder(inputs.text_encoder, device)
    states = _states(episodes, inputs)
    state_dim = states[0].shape[1] if states else 0
    sizes = Sizes(frames.shape, len(inputs.cameras), texts.dimension, state_dim, inputs.history)
    knowledge = method.study([TaskEpisodes(episodes, source.stage_names)])
    network = method.network(sizes, knowledge)
    network.tower.fit_state(states)
    member = Member(network, sizes, knowledge, recordings(episodes))
    return Learned("sarm", "sarm-untrained", method, [member], device)


def _states(episodes: list[Episode], inputs: InputConfig) -> list[Array]:
    found = [state_of(episode, inputs, "train without --reward_model.use_state") for episode in episodes]
    return [state for state in found if state is not None]
