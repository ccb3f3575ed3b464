"""The loop that trains a network: batches of episodes, early stopping on held-out ones, going on after a cut.

Every draw depends on the seed, the epoch and the episode alone, so that a run that goes on, or that several processes
share, takes the same steps as one that was never interrupted (but for dropout, which each process draws for itself).

It is also why a thread can draw the next steps, and read their pictures from the disk, while the network is busy with
this one: the steps are the same. Augmentation stays with the network, which computes it on its own device.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from headway.learned.ahead import Ahead
from headway.learned.diary import Diary
from headway.learned.method import Knowledge, Lesson, Method, Step, Term, prepare
from headway.learned.resume import load_state, save_state
from headway.learned.team import Team
from headway.learned.wrong_text import Negatives

OnStep = Callable[[int, int, float], None]
# a state is written at most this often, in seconds
SAVE_EVERY = 30.0
# steps whose input is drawn and read ahead; each takes the memory of a batch's pictures
AHEAD = 2


@dataclass(repr=False)
class Course:
    """One network's training: what it learns from, and how far it has come.

    Attributes:
        method: what is trained.
        network: the network.
        lessons: what is learned from.
        held_out: the lessons that decide when to stop; may be empty.
        negatives: where wrong instructions are drawn from.
        knowledge: what was measured on the episodes.
        team: the processes that train it together.
        state: where the state is kept while it trains; None for nowhere.
        diary: what is told of every epoch.
        ahead: steps that are drawn and read while the network computes, at most; 0 for none.
    """

    method: Method
    network: Any
    lessons: Sequence[Lesson]
    held_out: Sequence[Lesson]
    negatives: Negatives
    knowledge: Knowledge
    team: Team
    state: Path | None = None
    diary: Diary = field(default_factory=lambda: Diary(None))
    ahead: int = AHEAD
    epoch: int = 0
    best: dict[str, torch.Tensor] | None = None
    best_loss: float = math.inf
    best_epoch: int = -1

    def __post_init__(self) -> None:
        training = self.method.training
        self.network.to(self.team.device)
        self.steps = -(-len(self.lessons) // training.batch)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, training.learning_rate, total_steps=training.epochs * self.steps, pct_start=0.1
        )
        self.saved = time.monotonic()
        # seconds of this epoch in which the network stood idle because its input was not ready
        self.waited = 0.0

    def run(self, on_step: OnStep) -> None:
        """Train to the end; the network is left with its best weights, in evaluation mode.

        The state stays on disk, so that of several networks none is trained again; see `resume.forget_states`.

        `on_step(step, steps, loss)` is called after every step.
        """
        self._resume()
        with Ahead(self._jobs(), self.ahead) as steps:
            while self.epoch < self.method.training.epochs and not self._is_tired():
                self._train_and_judge(steps, on_step)
                self.epoch += 1
                if time.monotonic() - self.saved >= SAVE_EVERY:
                    self._save()
        self._save()
        if self.best is not None:
            self.network.load_state_dict(self.best)
        self.network.eval()
        self.method.finish(self.network, self.lessons, self.team.device)
        self.team.wait()

    def _batches(self, epoch: int) -> list[list[Lesson]]:
        """The lessons in the order of one epoch, a batch a step."""
        training = self.method.training
        order = np.random.default_rng([training.seed, 1, epoch]).permutation(len(self.lessons))
        every = [self.lessons[place] for place in order]
        return [every[begin : begin + training.batch] for begin in range(0, len(every), training.batch)]

    def _jobs(self) -> Iterator[Callable[[], Step]]:
        """What prepares this process's part of every step that is left, to the last epoch."""
        seed = self.method.training.seed
        for epoch in range(self.epoch, self.method.training.epochs):
            for batch in self._batches(epoch):
                # a process without a share of a small batch goes through the motions, so that all meet at the same sums
                seen = self.team.share(batch) or batch[:1]
                rngs = [np.random.default_rng([seed, 2, epoch, lesson.clip.number]) for lesson in seen]
                yield self._job(seen, rngs)

    def _job(self, lessons: Sequence[Lesson], rngs: Sequence[np.random.Generator | None]) -> Callable[[], Step]:
        bare = Step(lessons, rngs, self.negatives, self.knowledge, self.team.device)
        return partial(prepare, self.method, bare)

    def _await(self, steps: Ahead[Step]) -> Step:
        """The next step; the seconds until it is ready count as `waited`."""
        begun = time.perf_counter()
        step = next(steps)
        self.waited += time.perf_counter() - begun
        return step

    def _train_and_judge(self, steps: Ahead[Step], on_step: OnStep) -> None:
        """One epoch: train, judge the network, and write down how it went."""
        begun, self.waited = time.perf_counter(), 0.0
        line = {"epoch": float(self.epoch), "loss": self._epoch(steps, on_step)}
        line["learning_rate"] = float(self.schedule.get_last_lr()[0])
        if self.held_out:
            line["validation_loss"] = self._judge()
        seconds = time.perf_counter() - begun
        line |= {"epoch_seconds": round(seconds, 3), "waited_share": round(self.waited / seconds, 5)}
        if self.team.leads:
            self.diary.write(line)

    def _epoch(self, steps: Ahead[Step], on_step: OnStep) -> float:
        training = self.method.training
        torch.manual_seed((training.seed * 1_000_003 + self.epoch) * 64 + self.team.rank)
        self.network.train()
        losses = []
        for number, batch in enumerate(self._batches(self.epoch)):
            losses.append(self._step(self._await(steps), bool(self.team.share(batch))))
            on_step(self.epoch * self.steps + number + 1, training.epochs * self.steps, losses[-1])
        return float(np.mean(losses))

    def _step(self, step: Step, counts: bool) -> float:
        """One step of the optimiser: the loss. `counts`: whether its lessons are this process's own share."""
        self.optimiser.zero_grad()
        with _autocast(self.team.device):
            terms = self.method.terms(self.network, step)
        if not counts:
            terms = {name: Term(term.total * 0, 0, term.weight) for name, term in terms.items()}
        loss, value = self._together(terms)
        loss.backward()
        self.team.sum_gradients(self.network.parameters())
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        return value

    def _together(self, terms: dict[str, Term]) -> tuple[torch.Tensor, float]:
        """This process's part of the mean loss over the whole batch, and that mean itself."""
        names = sorted(terms)
        counts = torch.tensor([float(terms[name].count) for name in names], device=self.team.device)
        shares = [terms[name].weight * terms[name].total.float() for name in names]
        loss = (torch.stack(shares) / self.team.sum(counts).clamp(min=1)).sum()
        return loss, float(self.team.sum(loss.detach()))

    def _judge(self) -> float:
        """The loss on the held-out lessons; the weights are remembered when they are the best yet."""
        # the first process's word counts, or rounding could make them stop at different epochs
        own = torch.tensor(self._validate() if self.team.leads else 0.0, device=self.team.device)
        judged = float(self.team.sum(own))
        if judged < self.best_loss:
            self.best_loss, self.best_epoch = judged, self.epoch
            self.best = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        return judged

    @torch.inference_mode()
    def _validate(self) -> float:
        """The loss on the held-out lessons, nothing drawn, nothing augmented."""
        self.network.eval()
        totals: dict[str, list[float]] = {}
        with Ahead((self._job([lesson], [None]) for lesson in self.held_out), self.ahead) as steps:
            for _ in self.held_out:
                for name, term in self.method.terms(self.network, self._await(steps)).items():
                    sums = totals.setdefault(name, [0.0, 0.0, term.weight])
                    sums[0] += float(term.total)
                    sums[1] += term.count
        return float(sum(weight * total / max(count, 1) for total, count, weight in totals.values()))

    def _is_tired(self) -> bool:
        patience = math.ceil(self.method.training.patience * self.method.training.epochs)
        return bool(self.held_out) and self.epoch - self.best_epoch > patience

    @property
    def _identity(self) -> str:
        clips = [(lesson.clip.number, len(lesson.clip), lesson.clip.instruction) for lesson in self.lessons]
        return hashlib.sha256(json.dumps([asdict(self.method), clips]).encode()).hexdigest()  # type: ignore[call-overload]

    def _save(self) -> None:
        if self.state is None or not self.team.leads:
            return
        parts = ("epoch", "best", "best_loss", "best_epoch")
        modules = ("network", "optimiser", "schedule")
        content = {name: getattr(self, name) for name in parts}
        content |= {name: getattr(self, name).state_dict() for name in modules}
        save_state(self.state, content | {"identity": self._identity})
        self.saved = time.monotonic()

    def _resume(self) -> None:
        saved = None if self.state is None else load_state(self.state, self._identity)
        if saved is None:
            return
        for name in ("network", "optimiser", "schedule"):
            getattr(self, name).load_state_dict(saved[name])
        for name in ("epoch", "best", "best_loss", "best_epoch"):
            setattr(self, name, saved[name])


def _autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 where the device has it."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()
