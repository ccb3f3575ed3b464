"""Training of SARM: what a step sees, how it is augmented, and the loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from headway.episodes import Array, Episode
from headway.errors import DatasetError, InvalidValue
from headway.learned.sarm_network import SarmNetwork, SarmShape
from headway.learned.targets import StageScale, Targets, fit_scale, label
from headway.learned.windows import PADDING, backward_windows, rewind
from headway.learned.wrong_text import wrong_instruction
from headway.pictures import take_frames
from headway.text import encode_text

# Frames are kept at this many phases of the window's gap: enough to see every moment, little enough for memory.
PHASES = 4
WITHIN_WEIGHT = 4.0


@dataclass(frozen=True)
class SarmConfig:
    """How to train a SARM.

    Attributes:
        cameras: names of the cameras it looks at.
        use_state: whether it is given the robot's state.
        image_size: pictures are resized to this many pixels square.
        gap_seconds: time between the frames of a window.
        history: frames in a window besides the episode's first.
        epochs: how often every episode is seen.
        batch: episodes in a step.
        learning_rate: peak of the cosine schedule (AdamW).
        rewind: share of windows that run forward and then back.
        wrong_text: share of windows shown with another task's instruction, whose progress is 0.
        seed: of weights, order and augmentation.
    """

    cameras: tuple[str, ...]
    use_state: bool = False
    image_size: int = 64
    gap_seconds: float = 0.4
    history: int = 8
    epochs: int = 100
    batch: int = 8
    learning_rate: float = 1e-3
    rewind: float = 0.4
    wrong_text: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.cameras:
            raise InvalidValue("SARM needs at least one camera")
        for name in ("image_size", "gap_seconds", "history", "epochs", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise InvalidValue(f"{name} must be above 0, got {getattr(self, name)}")

    def gap(self, fps: float) -> int:
        """Frames between two places of a window at this frame rate."""
        return max(1, round(self.gap_seconds * fps))


@dataclass(frozen=True, repr=False)
class Sample:
    """One episode as training keeps it: every `keep`-th frame.

    Attributes:
        pictures: uint8 (kept, camera, height, width, 3).
        state: float32 (kept, state_dim) or None.
        targets: labels of the kept frames.
        gap: the window's gap, in kept frames.
        instruction: what the robot was told.
    """

    pictures: Array
    state: Array | None
    targets: Targets
    gap: int
    instruction: str


def load_sample(episode: Episode, scale: StageScale, config: SarmConfig) -> Sample:
    """Decode one episode for training. Raises DatasetError when it lacks the state that the config asks for."""
    gap = config.gap(episode.fps)
    keep = max(1, gap // PHASES)
    frames = np.arange(0, len(episode), keep)
    pictures = np.stack(
        [take_frames(episode.camera(name), frames, config.image_size) for name in config.cameras], axis=1
    )
    if config.use_state and episode.state is None:
        raise DatasetError(f"episode {episode.index} has no state; train without --state")
    state = episode.state[frames] if config.use_state and episode.state is not None else None
    targets = label(episode, scale)
    kept = Targets(targets.stage[frames], targets.within[frames])
    return Sample(pictures, state, kept, max(1, round(gap / keep)), episode.instruction or "")


def train_network(
    episodes: Sequence[Episode],
    names: Sequence[str],
    config: SarmConfig,
    on_step: Callable[[int, int, float], None] = lambda step, steps, loss: None,
    device: str = "cpu",
) -> tuple[SarmNetwork, StageScale]:
    """Train one network on marked episodes. `on_step(step, steps, loss)` is called after every step.

    Raises DatasetError when there is nothing to learn from. Same seed, same episodes, one thread: same weights.
    """
    scale = fit_scale(episodes, names)
    samples = [load_sample(episode, scale, config) for episode in episodes if episode.stages]
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    state_dim = 0 if samples[0].state is None else samples[0].state.shape[1]
    shape = SarmShape(len(names), len(config.cameras), state_dim, config.image_size, config.history)
    network = SarmNetwork(shape).to(device)
    network.fit_state([sample.state for sample in samples if sample.state is not None])
    steps = config.epochs * -(-len(samples) // config.batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=steps, pct_start=0.1)
    network.train()
    step = 0
    for _ in range(config.epochs):
        order = rng.permutation(len(samples))
        for first in range(0, len(samples), config.batch):
            batch = [samples[i] for i in order[first : first + config.batch]]
            loss = batch_loss(network, batch, config, rng)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            step += 1
            on_step(step, steps, float(loss.detach()))
    return network.eval(), scale


def batch_loss(network: SarmNetwork, batch: Sequence[Sample], config: SarmConfig, rng: np.random.Generator) -> Tensor:
    """Stage cross-entropy + 4 x squared error of the within-stage progress at the marked stage.

    Frames without a mark enter neither term, frames with unknown progress not the second; padding enters nothing.
    """
    device = network.place.device
    features, windows, stages, withins, texts = [], [], [], [], []
    offset = 0
    for sample in batch:
        # every strided run of an episode is encoded once, and every window in it is supervised
        run = np.arange(rng.integers(min(sample.gap, len(sample.pictures))), len(sample.pictures), sample.gap)
        seen = np.concatenate([[0], run])
        features.append(encode(network, sample, seen, rng))
        window = rewind(backward_windows(np.arange(len(run)), 1, config.history), config.rewind, rng)
        present = run[window[:, -1]]
        stage, within = sample.targets.stage[present], sample.targets.within[present]
        text, stage, within = with_wrong_text(sample.instruction, stage, within, config.wrong_text, rng)
        slots = np.where(window == PADDING, PADDING, window + 1)
        slots[:, 0] = 0
        windows.append(np.where(slots == PADDING, PADDING, slots + offset))
        offset += len(seen)
        stages.append(stage)
        withins.append(within)
        texts.append(text)
    index = torch.as_tensor(np.concatenate(windows), device=device)
    logits, within_all = network.judge(
        torch.cat(features)[index.clamp(min=0)],
        index == PADDING,
        torch.as_tensor(np.concatenate(texts), device=device),
    )
    return loss_of(
        logits,
        within_all,
        torch.as_tensor(np.concatenate(stages), device=device),
        torch.as_tensor(np.concatenate(withins), device=device),
    )


def loss_of(logits: Tensor, within_all: Tensor, stage: Tensor, within: Tensor) -> Tensor:
    """The loss of predictions (window, ...) against stage (window,), -1 unknown, and within (window,), NaN unknown."""
    classification = nn.functional.cross_entropy(logits, stage, ignore_index=-1)
    known = ~torch.isnan(within) & (stage >= 0) & (stage < within_all.shape[1])
    predicted = within_all[known].gather(1, stage[known, None])[:, 0]
    squared = ((predicted - within[known]) ** 2).sum() / known.sum().clamp(min=1)
    return classification + WITHIN_WEIGHT * squared


def encode(network: SarmNetwork, sample: Sample, seen: Array, rng: np.random.Generator) -> Tensor:
    """Features (seen, width) of an episode's frames, all under one random shift and one random change of colour."""
    device = network.place.device
    pictures = augment(torch.as_tensor(sample.pictures[seen], device=device), rng)
    state = None if sample.state is None else torch.as_tensor(sample.state[seen], device=device)
    return network.encode(pictures, state)


def augment(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift by up to 7 % and mix the colours a little: float (frame, camera, height, width, 3), 0..255."""
    size = pictures.shape[2]
    reach = round(0.07 * size)
    down, right = rng.integers(-reach, reach + 1, size=2)
    rows = torch.arange(size, device=pictures.device).add(int(down)).clamp(0, size - 1)
    columns = torch.arange(size, device=pictures.device).add(int(right)).clamp(0, size - 1)
    shifted = pictures[:, :, rows][:, :, :, columns].to(torch.float32)
    colours = np.eye(3) * rng.uniform(0.85, 1.15) + rng.normal(0, 0.05, (3, 3))
    mixed = shifted @ torch.as_tensor(colours, dtype=torch.float32, device=pictures.device)
    return (mixed + float(rng.normal(0, 8))).clamp(0, 255)


def with_wrong_text(
    instruction: str, stage: Array, within: Array, share: float, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Give a `share` of the windows, each drawn on its own, an instruction that is not theirs: progress 0.

    Returns the texts (window, dimension), and the stages and withins (window,) that belong to them. An episode
    without an instruction is left alone.
    """
    texts = np.repeat(encode_text(instruction)[None], len(stage), axis=0)
    wrong = (rng.random(len(stage)) < share) & bool(instruction)
    for row in np.flatnonzero(wrong):
        texts[row] = encode_text(wrong_instruction(instruction, rng))
    return texts, np.where(wrong, 0, stage), np.where(wrong, np.float32(0), within)
