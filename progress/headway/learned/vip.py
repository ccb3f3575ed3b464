"""VIP: an embedding in which distance to the goal is time to the goal, learned without a label (arXiv 2210.00030).

For frames o_k, o_{k+1} and a later frame o_T of the same episode, with d(o) = ||phi(o) - phi(o_T)||_2 = -V(o; o_T), the
dual of a goal-conditioned value problem is minimised, with the signs of the authors' code:

    L = (1 - gamma) mean d(o_k) + log mean exp(-delta + gamma d(o_{k+1}) - d(o_k)),    delta = [k + 1 = T] - 1.

The first term draws frames to their goals, the second keeps each at least a step further away than the next. The second
is taken once more with o_k and o_{k+1} of other episodes (`negatives`), and the embedding is kept small (`penalty`).
After training the last frames of demonstrations are remembered as goals, and the raw score of a frame is minus
its distance to the nearest. Progress is what a map fitted on held-out episodes makes of it, so it has the scale of time
in a demonstration.

On purpose unlike the authors' code: the transition into the goal is trained (there delta is always -1); a pair starts
its own sub-trajectory (there a third frame does); every drawn pair meets every later drawn frame as its goal; frames
are `gap_seconds` apart; pictures are augmented alike over the frames of one episode. The embedding is trained from
scratch, where the paper's was pretrained on people's videos: in the paper, training from scratch on twenty
demonstrations of a real robot led no policy to success. It sees one frame, and no instruction.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from headway.episodes import Array, Episode
from headway.errors import DatasetError, InvalidValue, UnknownName, Unsupported
from headway.learned.estimator import Learned
from headway.learned.inputs import Clip, InputConfig
from headway.learned.method import Knowledge, Lesson, Step, TaskEpisodes, Term, TrainingConfig, Verdict
from headway.learned.runs import Run, encode_runs, read_run
from headway.learned.trunk import Sizes, Tower

# goals that are remembered, spread over the demonstrations
GOALS = 32


class VipNetwork(nn.Module):
    """The embedding phi and, once it is trained, the goals: (GOALS, dimension)."""

    goals: Tensor

    def __init__(self, sizes: Sizes, width: int, dimension: int):
        super().__init__()
        self.tower = Tower(sizes, width)
        self.project = nn.Linear(width, dimension)
        self.register_buffer("goals", torch.zeros(GOALS, dimension))

    def encode(self, frames: Tensor, state: Tensor | None) -> Tensor:
        return self.project(self.tower(frames, state))

    def judge(self, windows: Tensor, padding: Tensor, text: Tensor) -> dict[str, Tensor]:
        # the faster way to compute distances rounds differently for another number of windows
        exact = "donot_use_mm_for_euclid_dist"
        distances = torch.cdist(windows[:, -1].float(), self.goals, compute_mode=exact)
        return {"distance": distances.amin(dim=1)}

    def remember(self, goals: Tensor) -> None:
        """Measure distances to these embeddings from now on, (goals, dimension); more than GOALS are thinned out."""
        places = np.arange(GOALS) * len(goals) // GOALS if len(goals) > GOALS else np.arange(GOALS) % len(goals)
        self.goals.copy_(goals[torch.as_tensor(places)])


@dataclass(frozen=True)
class Vip:
    """How to train a VIP.

    Attributes:
        inputs: what it is shown; of a window only the present frame.
        training: how it is trained.
        gamma: the discount a step of `gap_seconds`; distances stay below 1 / (1 - gamma).
        dimension: of the embedding.
        width: of the features it is projected from.
        pairs: neighbouring frames drawn from an episode in a step.
        negatives: how often each goal meets pairs of the whole batch in a random order.
        penalty: weight of the mean L1 and L2 norm of the embedding.
        wrong_text: none is shown.
    """

    inputs: InputConfig
    training: TrainingConfig = TrainingConfig()
    gamma: float = 0.98
    dimension: int = 32
    width: int = 128
    pairs: int = 6
    negatives: int = 3
    penalty: float = 1e-3
    wrong_text: float = 0.0
    name: str = "vip"
    needs_map: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.gamma < 1:
            raise InvalidValue(f"gamma must lie between 0 and 1, both excluded, got {self.gamma}")
        for name in ("dimension", "width", "pairs"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name} must be at least 1, got {getattr(self, name)}")
        # a longer window would have frames encoded that nothing looks at
        object.__setattr__(self, "inputs", replace(self.inputs, history=1))

    def study(self, tasks: Sequence[TaskEpisodes]) -> Knowledge:
        """Nothing is measured. Raises DatasetError when every episode is labelled a failure: none shows the goal."""
        episodes = [episode for task in tasks for episode in task.episodes]
        if all(episode.success is False for episode in episodes):
            raise DatasetError(
                f"VIP takes the last frames of demonstrations for its goal, and all {len(episodes)} episodes are "
                "labelled a failure; add one that succeeded"
            )
        return Knowledge()

    def label(self, episode: Episode, task: int, knowledge: Knowledge) -> Mapping[str, Array] | None:
        """No label is needed, but two frames a gap apart are."""
        return {} if len(episode) > 2 * self.inputs.gap(episode.fps) else None

    def network(self, sizes: Sizes, knowledge: Knowledge) -> VipNetwork:
        return VipNetwork(sizes, self.width, self.dimension)

    def draw(self, lesson: Lesson, rng: np.random.Generator | None) -> tuple[Run, Array]:
        """What `draw_pairs` makes of it."""
        return draw_pairs(lesson.clip, self.pairs, rng)

    def terms(self, network: VipNetwork, step: Step) -> dict[str, Term]:
        """The loss over the pairs of all lessons; in validation every pair of an episode, and no negatives.

        Each process of several takes the logarithm of its own mean.
        """
        runs, places, offset = [], [], 0
        for run, triples in step.drawn:
            runs.append(run)
            places.append(triples + offset)
            offset += len(run.windows)
        windows, _ = encode_runs(network, runs, step.rngs, step.device, self.training.plain)
        embedding = windows[:, -1].float()
        before, after, goal = (torch.as_tensor(part, device=step.device) for part in np.concatenate(places, axis=1))
        repulsion = self._repulsion(embedding, before, after, goal)
        return {
            "attraction": Term((1 - self.gamma) * _distance(embedding, before, goal).sum(), len(before)),
            "repulsion": _log_mean_exp(repulsion),
            "negatives": self._negatives(embedding, before, after, goal, step.rngs[0]),
            "size": Term((embedding.abs().sum(1) + embedding.norm(dim=1)).sum(), len(embedding), self.penalty),
        }

    def _repulsion(self, embedding: Tensor, before: Tensor, after: Tensor, goal: Tensor) -> Tensor:
        """-delta + gamma d(o_{k+1}) - d(o_k) of each pair with its goal."""
        missed = (after != goal).float()
        return missed + self.gamma * _distance(embedding, after, goal) - _distance(embedding, before, goal)

    def _negatives(
        self, embedding: Tensor, before: Tensor, after: Tensor, goal: Tensor, rng: np.random.Generator | None
    ) -> Term:
        """The same with the pairs in another order, to which the goals do not belong."""
        if rng is None or not self.negatives:
            return Term(embedding.sum() * 0, 0)
        order = np.concatenate([rng.permutation(len(goal)) for _ in range(self.negatives)])
        mixed = torch.as_tensor(order, device=goal.device)
        goals = goal.repeat(self.negatives)
        ahead, behind = _distance(embedding, after[mixed], goals), _distance(embedding, before[mixed], goals)
        return _log_mean_exp(1 + self.gamma * ahead - behind)

    @torch.inference_mode()
    def finish(self, network: VipNetwork, lessons: Sequence[Lesson], device: torch.device) -> None:
        """Remember how the successes end or, where nobody said which are, all that are not called failures."""
        chosen = [lesson.clip for lesson in lessons if lesson.success]
        chosen = chosen or [lesson.clip for lesson in lessons if lesson.success is None]
        if not chosen:
            raise DatasetError(
                f"none of the {len(lessons)} episodes that VIP learned from is a success, so it has no goal; add "
                "successes, as those there are were held out or are too short"
            )
        last = [np.array([len(clip) - 1]) for clip in chosen]
        pictures = np.concatenate([clip.pictures(place) for clip, place in zip(chosen, last, strict=True)])
        states = [clip.state[place] for clip, place in zip(chosen, last, strict=True) if clip.state is not None]
        known = torch.as_tensor(np.concatenate(states), dtype=torch.float32, device=device) if states else None
        network.remember(network.encode(torch.as_tensor(pictures, device=device).to(torch.float32), known))

    def read(self, outputs: Mapping[str, Array], knowledge: Knowledge) -> Verdict:
        return Verdict(raw=-outputs["distance"])


def with_goals(learned: Learned, pictures: Sequence[Mapping[str, Array]]) -> Learned:
    """The same VIP with other goals.

    Its map from raw scores to progress was fitted on the goals it was trained with, so progress is as right as the
    distance of a finished episode to the new goals is alike.

    Args:
        learned: a trained VIP.
        pictures: for each goal a picture a camera, uint8 RGB (height, width, 3); more than GOALS are thinned out.

    Raises:
        InvalidValue: `learned` is no VIP, or there is no goal.
        UnknownName: a goal lacks a camera.
        Unsupported: the VIP was trained with the robot's state, which no picture shows.
    """
    if not isinstance(learned.method, Vip):
        raise InvalidValue(f"goal pictures are for a vip; {learned.name} is given none")
    if not pictures:
        raise InvalidValue("needs at least one goal picture")
    if learned.method.inputs.use_state:
        raise Unsupported(f"{learned.name} was trained with the robot's state, which a goal picture does not show")
    cameras = learned.method.inputs.cameras
    for name in cameras:
        for goal in pictures:
            if name not in goal:
                raise UnknownName("camera of a goal picture:", name, goal, "The estimator was trained with it")
    seen = learned.eyes.see([[goal[name] for name in cameras] for goal in pictures])
    digest = hashlib.sha256(np.ascontiguousarray(seen).tobytes()).hexdigest()[:16]
    members = []
    for member in learned.members:
        network = learned.method.network(member.sizes, member.knowledge)
        network.load_state_dict(member.network.state_dict())
        network.to(learned.device).eval().remember(learned.eyes.encode(seen, None, network))
        members.append(replace(member, network=network))
    return Learned(learned.name, f"{learned.fingerprint}-goals-{digest}", learned.method, members, learned.device)


def draw_pairs(clip: Clip, pairs: int, rng: np.random.Generator | None) -> tuple[Run, Array]:
    """Draw neighbouring frames, one gap apart from a drawn phase; without `rng` all of them, from phase 0.

    Returns:
        The run of all drawn frames, each the present of one window; and int64 (3, triples), places in that run of o_k,
        o_{k+1} and o_T, for every drawn pair with every later frame of the run.
    """
    phase = 0 if rng is None else int(rng.integers(min(clip.gap, len(clip))))
    there = np.arange(phase, len(clip), clip.gap)
    every = np.arange(len(there) - 1)
    chosen = every if rng is None else np.sort(rng.permutation(every)[:pairs])
    seen = np.unique(np.concatenate([chosen, chosen + 1]))
    pair, goal = np.nonzero(seen[None] > chosen[:, None])
    before, after = np.searchsorted(seen, chosen), np.searchsorted(seen, chosen + 1)
    places = np.arange(len(seen))
    run = read_run(clip, there[seen], np.stack([places, places], axis=1))
    return run, np.stack([before[pair], after[pair], goal])


def _distance(embedding: Tensor, of: Tensor, to: Tensor) -> Tensor:
    return (embedding[of] - embedding[to]).norm(dim=1)


def _log_mean_exp(exponents: Tensor) -> Term:
    """log mean exp, once for each exponent, so that steps of different size weigh by what is in them."""
    count = len(exponents)
    if not count:
        return Term(exponents.sum(), 0)
    return Term((exponents.logsumexp(dim=0) - np.log(count)) * count, count)
