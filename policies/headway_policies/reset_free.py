"""Practice that is never reset: a task and the way back from it alternate in one simulation (RoboFuME's pattern).

The policy for the task tries it, then the policy for the way back brings the scene to where another try can begin. A
judge says when an attempt has come off; what it says decides what both policies learn from next. RoboFuME (arXiv
2310.15145) fine-tunes by Cal-QL with a vision-language model as its judge; here policies are cloned anew from the
demonstrations and from the attempts that were judged successes, each frame with the same weight. A way back is learnt
from as one to where it led, wherever it was to lead (hindsight, Andrychowicz et al. 2017, arXiv 1707.01495): whether it
came off, the judge can see, but not where to.

A person is called, and counted, when a thing has left the hand's reach, or after many attempts in a row that the judge
has seen fail in both directions. Nothing else places things anew.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_envs.disturbance import DISTURBANCE, Disturbance
from headway_envs.observations import environment_names, environment_state
from headway_envs.reset_free import back_names, back_state, check_way_back, draw_goal, goal_state, out_of_reach, ready
from headway_envs.simulator import Simulator
from headway_envs.tasks.base import Layout, Situation, Task
from headway_policies.behaviour_cloning import CloningConfig, clone
from headway_policies.demonstrations import Recording, gather
from headway_policies.reset_free_judges import Judge, Truths
from headway_policies.rollout import Actor
from headway_policies.signature import Signature, signature_of_simulator

FORWARD, BACK = "forward", "back"
DIRECTIONS = (FORWARD, BACK)


def _done(task: Task, situation: Situation) -> bool:
    return task.success(situation)


TRUTHS: Truths = {FORWARD: _done, BACK: ready}


@dataclass(frozen=True)
class PracticeConfig:
    """How to practise.

    Attributes:
        seconds: after which an attempt has failed.
        shortest: seconds below which there is nothing to learn from an attempt: it began where it was to end.
        disturbance: standard deviation in metres by which what is carried out differs from what the policy wants, so
            that it tries more than it was shown.
        patience: attempts in a row without a success, after which a person is called.
    """

    seconds: float = 8.0
    shortest: float = 1.0
    disturbance: float = DISTURBANCE
    patience: int = 20

    def __post_init__(self) -> None:
        if not self.seconds > self.shortest >= 0:
            raise InvalidValue(f"attempts last longer than the shortest, got {self.seconds} and {self.shortest} s")
        if self.disturbance < 0 or self.patience < 1:
            raise InvalidValue(
                f"needs a disturbance from 0 and a patience from 1, got {self.disturbance} and {self.patience}"
            )


@dataclass(frozen=True, repr=False)
class Attempt:
    """One attempt of practice; a Recording, which `gather` takes.

    Attributes:
        direction: FORWARD or BACK.
        verdict: whether the judge declared a success.
        truth: whether the task was done as it ended, and not all along. Nothing is learnt from this.
        called: why a person placed things anew after it: `out of reach`, `stuck`, or empty when nobody did.
        learnable: whether it is long enough to learn from.
        state, environment_state, action: float32 (time, dim) each; the action is what the policy wanted, and the goal
            of a way back where things and hand were as it ended.
    """

    direction: str
    verdict: bool
    truth: bool
    called: str
    learnable: bool
    state: Array = field(compare=False)
    environment_state: Array = field(compare=False)
    action: Array = field(compare=False)

    def __len__(self) -> int:
        return len(self.state)

    def __repr__(self) -> str:
        return f"Attempt({self.direction}, verdict={self.verdict}, truth={self.truth}, time={len(self)})"


def signatures(simulator: Simulator) -> dict[str, Signature]:
    """What the policy of each direction sees and answers. Raises InvalidValue for a task without a way back."""
    check_way_back(simulator.task)
    forward = signature_of_simulator(simulator)
    assert forward.environment_state == environment_names(simulator.task)
    return {FORWARD: forward, BACK: replace(forward, environment_state=back_names(simulator.task))}


class Practice:
    """One scene, placed once, in which two policies take turns.

    Args:
        simulator: of a task in which something is carried.
        judge: of both directions.
        seed: of the first layout, goals and disturbances, and of the layouts a person places where one has to.
        config: how to practise.

    Raises InvalidValue for a task without a way back.
    """

    def __init__(self, simulator: Simulator, judge: Judge, seed: int, config: PracticeConfig = PracticeConfig()):
        check_way_back(simulator.task)
        self.simulator, self._judge, self._config = simulator, judge, config
        self._random = np.random.default_rng([seed, 12])
        self._direction, self._in_vain = FORWARD, 0
        self.resets = 0
        self._place()

    def attempts(self, policies: Mapping[str, Actor], count: int) -> Iterator[Attempt]:
        """The next `count` attempts, with the policy of each direction. The scene goes on from where it is."""
        for _ in range(count):
            yield self._attempt(policies[self._direction])

    def _attempt(self, policy: Actor) -> Attempt:
        direction, config, simulator = self._direction, self._config, self.simulator
        goal = draw_goal(simulator.task, simulator.situation(), self._random)
        pushes = Disturbance(simulator.robot.pushes, config.disturbance, simulator.fps, self._random)
        self._judge.begin(direction)
        seen: dict[str, list[Array]] = {"state": [], "environment_state": [], "action": []}
        verdict, lost, undone = self._judge.done(simulator, 0), False, False
        plan: list[Array] = []
        while not verdict and not lost and len(seen["state"]) < config.seconds * simulator.fps:
            undone = undone or not TRUTHS[direction](simulator.task, simulator.situation())
            state, other = simulator.robot.state(simulator.data), self._seen(direction, goal)
            plan = plan or list(policy.act(state, other))
            for name, values in zip(seen, (state, other, plan.pop(0)), strict=True):
                seen[name].append(values)
            simulator.step(seen["action"][-1], pushes.next())
            verdict = self._judge.done(simulator, len(seen["state"]))
            lost = out_of_reach(simulator, simulator.situation())
        ended = simulator.situation()
        truth = undone and TRUTHS[direction](simulator.task, ended)
        learnable = len(seen["state"]) >= config.shortest * simulator.fps
        called = self._what_next(verdict, lost)
        arrays = {name: np.array(rows, dtype=np.float32) for name, rows in seen.items()}
        if direction == BACK and len(seen["state"]):
            reached = goal_state(simulator.task, ended)
            arrays["environment_state"][:, -len(reached) :] = reached
        return Attempt(direction, verdict, truth, called, learnable, **arrays)

    def _seen(self, direction: str, goal: Layout) -> Array:
        task, situation = self.simulator.task, self.simulator.situation()
        return environment_state(task, situation) if direction == FORWARD else back_state(task, situation, goal)

    def _what_next(self, verdict: bool, lost: bool) -> str:
        """Turn round, or have a person place things anew: then why."""
        self._in_vain = 0 if verdict else self._in_vain + 1
        if lost or self._in_vain >= self._config.patience:
            self.resets += 1
            self._place()
            return "out of reach" if lost else "stuck"
        self._direction = BACK if self._direction == FORWARD else FORWARD
        return ""

    def _place(self) -> None:
        """A person places things, as an episode begins."""
        self._in_vain, self._direction = 0, FORWARD
        self.simulator.reset(self.simulator.task.layout(int(self._random.integers(2**40))))


Choose = Callable[[Sequence[Attempt]], Sequence[bool]]
"""Which of the attempts of a round, all of one direction, to learn from."""


def by_verdict(attempts: Sequence[Attempt]) -> list[bool]:
    """Those that the judge declared a success."""
    return [attempt.verdict and attempt.learnable for attempt in attempts]


def by_shuffled_verdict(random: np.random.Generator) -> Choose:
    """As many as `by_verdict` would take, but whichever: a control that knows nothing."""

    def choose(attempts: Sequence[Attempt]) -> list[bool]:
        learnable = [number for number, attempt in enumerate(attempts) if attempt.learnable]
        drawn = set(random.permutation(learnable)[: sum(by_verdict(attempts))].tolist())
        return [number in drawn for number in range(len(attempts))]

    return choose


def learn(
    recordings: Mapping[str, Sequence[Recording]], simulator: Simulator, config: CloningConfig
) -> dict[str, Actor]:
    """A policy for each direction, cloned from its recordings. Raises what `gather` and `clone` raise."""
    policies: dict[str, Actor] = {}
    for direction, signature in signatures(simulator).items():
        demonstrations = gather(recordings[direction], signature)
        policies[direction] = clone(demonstrations, np.ones(len(demonstrations)), config).policy
    return policies


@dataclass(frozen=True, repr=False)
class Round:
    """What came of one round: the attempts, and the policies after it. `kept` counts the attempts learnt from so far,
    `resets` how often a person was called so far."""

    number: int
    attempts: tuple[Attempt, ...]
    policies: Mapping[str, Actor]
    kept: int
    resets: int


def practise(
    practice: Practice,
    policies: Mapping[str, Actor],
    demonstrations: Mapping[str, Sequence[Recording]],
    config: CloningConfig,
    rounds: int,
    attempts: int,
    choose: Choose = by_verdict,
) -> Iterator[Round]:
    """Practise and clone again, round by round.

    Args:
        practice: the scene, which goes on from round to round.
        policies: of each direction, to begin with; from `learn`.
        demonstrations: of each direction; they stay among what is learnt from.
        config: of every cloning; the seed is one more in each round, beginning with one more than here.
        rounds: of practice.
        attempts: in a round, both directions together.
        choose: what is learnt from, asked for each direction and round.
    """
    recordings: dict[str, list[Recording]] = {name: list(demonstrations[name]) for name in DIRECTIONS}
    kept = 0
    for number in range(1, rounds + 1):
        made = list(practice.attempts(policies, attempts))
        for direction in DIRECTIONS:
            own = [attempt for attempt in made if attempt.direction == direction]
            chosen = [attempt for attempt, wanted in zip(own, choose(own), strict=True) if wanted]
            recordings[direction] += chosen
            kept += len(chosen)
        policies = learn(recordings, practice.simulator, replace(config, seed=config.seed + number))
        yield Round(number, tuple(made), policies, kept, practice.resets)
