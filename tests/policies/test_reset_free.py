"""Practice without resets: who takes turns, what is learnt from, when a person is called; and the judges."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from headway.episodes import Array, ArrayFrames, Episode, ProgressCurve
from headway.errors import InvalidValue
from headway.estimator import Needs, Reading
from headway.signals.detector import Calibrated, DetectorConfig, Readings, detect
from headway_envs.recording import Recorder, RecordingOptions
from headway_envs.reset_free import bring_back, record_back
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_policies.behaviour_cloning import CloningConfig
from headway_policies.reset_free import (
    BACK,
    FORWARD,
    TRUTHS,
    Attempt,
    Practice,
    PracticeConfig,
    by_shuffled_verdict,
    by_verdict,
    learn,
    practise,
    signatures,
)
from headway_policies.reset_free_judges import Direction, LearnedJudge, TrueJudge, calibrate

LIFT = find_task("lift")
QUICK = CloningConfig(width=16, blocks=1, steps=10, batch=16)


@dataclass
class Expert:
    """The task's expert, or that of the way back, who is told what a policy is told."""

    simulator: Simulator
    direction: str

    @property
    def signature(self):
        return signatures(self.simulator)[self.direction]

    def act(self, state: Array, environment_state: Array) -> Array:
        situation = self.simulator.situation()
        assert np.allclose(environment_state[:3], situation.objects[0], atol=1e-6)
        if self.direction == FORWARD:
            return self.simulator.command(LIFT.act(situation))[None]
        place, hand = environment_state[-6:-3].tolist(), environment_state[-3:].tolist()
        goal = replace(LIFT.layout(0), hand=tuple(hand)).with_object(0, tuple(place))
        return self.simulator.command(bring_back(LIFT, situation, goal))[None]


@dataclass
class Idle(Expert):
    """Does nothing but, at its `push_at`-th asking, push the cube off the table."""

    push_at: int = -1
    asked: int = 0

    def act(self, state: Array, environment_state: Array) -> Array:
        self.asked += 1
        if self.asked == self.push_at:
            at = self.simulator._free[0]
            self.simulator.data.qpos[at : at + 3] = (0.6, 0.0, 0.025)
        return np.array([[*state[:3], 1.0]])


@dataclass
class Says:
    """A judge that always says the same, after so many steps."""

    yes: bool
    after: int = 30
    begun: list[str] = field(default_factory=list)

    def begin(self, direction: str) -> None:
        self.begun.append(direction)

    def done(self, simulator: Simulator, step: int) -> bool:
        return self.yes and step >= self.after


def practice(judge, seed: int = 0, **config) -> Practice:
    return Practice(Simulator(LIFT, "gripper"), judge, seed, PracticeConfig(**config))


def experts(of: Practice) -> dict[str, Expert]:
    return {direction: Expert(of.simulator, direction) for direction in (FORWARD, BACK)}


def true_judge() -> TrueJudge:
    return TrueJudge(TRUTHS, 0.25)


def test_experts_take_turns_for_long_without_a_reset() -> None:
    of = practice(true_judge())
    made = list(of.attempts(experts(of), 12))
    assert [attempt.direction for attempt in made] == [FORWARD, BACK] * 6
    assert all(attempt.verdict and attempt.truth and not attempt.called for attempt in made)
    assert of.resets == 0
    lifted_from = {tuple(attempt.environment_state[0, :2].round(3)) for attempt in made[::2]}
    assert len(lifted_from) == 6  # the way back leads to another place each time


def test_an_attempt_begins_where_the_one_before_ended() -> None:
    of = practice(true_judge())
    made = list(of.attempts(experts(of), 4))
    for before, after in itertools.pairwise(made):
        assert np.abs(before.state[-1] - after.state[0])[:3].max() < 0.03
        assert np.abs(before.environment_state[-1, :6] - after.environment_state[0, :6]).max() < 0.03


def test_the_scene_goes_on_from_one_call_to_the_next() -> None:
    of, other = practice(true_judge()), practice(true_judge())
    apart = [*of.attempts(experts(of), 1), *of.attempts(experts(of), 2)]
    together = list(other.attempts(experts(other), 3))
    for one, two in zip(apart, together, strict=True):
        assert one == two
        assert (one.action == two.action).all()
        assert (one.state == two.state).all()


def test_an_attempt_ends_with_its_verdict_or_its_time() -> None:
    of = practice(Says(True, after=25))
    assert [len(attempt) for attempt in of.attempts(experts(of), 2)] == [25, 25]
    of = practice(Says(False), seconds=2.0)
    assert [(len(a), a.verdict) for a in of.attempts(experts(of), 2)] == [(40, False)] * 2


def test_a_way_back_is_kept_as_one_to_where_it_led() -> None:
    of = practice(true_judge())
    _, back, after = of.attempts(experts(of), 3)
    assert np.allclose(back.environment_state[:, -6:], back.environment_state[0, -6:])
    assert np.abs(back.environment_state[0, -6:-3] - after.environment_state[0, :3]).max() < 1e-6
    assert np.abs(back.environment_state[0, -3:] - after.state[0, :3]).max() < 1e-6


def test_what_looks_done_from_the_beginning_is_no_success() -> None:
    of = practice(true_judge(), seconds=2.0)
    simulator, judge = of.simulator, true_judge()
    simulator.reset(LIFT.layout(0))
    judge.begin(BACK)
    assert not any(judge.done(simulator, step) for step in range(50))
    judge.begin(FORWARD)
    said = []
    for step in range(150):
        said.append(judge.done(simulator, step))
        simulator.step(simulator.command(LIFT.act(simulator.situation())))
    assert said[-1]
    assert said.index(True) > 20


def test_a_verdict_is_not_the_truth() -> None:
    of = practice(Says(True))
    (attempt,) = of.attempts({FORWARD: Idle(of.simulator, FORWARD)}, 1)
    assert attempt.verdict
    assert not attempt.truth


def test_what_was_done_all_along_was_not_done_by_the_attempt() -> None:
    of = practice(Says(True))
    idle = Idle(of.simulator, FORWARD)
    _, back = of.attempts({FORWARD: idle, BACK: idle}, 2)  # the hand stays away, the cube on the table
    assert back.verdict
    assert not back.truth


def test_what_began_where_it_was_to_end_teaches_nothing() -> None:
    for after in (0, 19, 20):
        of = practice(Says(True, after))
        (attempt,) = of.attempts(experts(of), 1)
        assert attempt.verdict
        assert attempt.learnable == (after == 20)
        assert by_verdict([attempt]) == [after == 20]


def test_a_person_is_called_after_failures_in_both_directions_and_counted() -> None:
    judge = Says(False)
    of = practice(judge, seconds=1.5, patience=3)
    made = list(of.attempts(experts(of), 7))
    assert [attempt.called for attempt in made] == ["", "", "stuck"] * 2 + [""]
    assert judge.begun == [FORWARD, BACK, FORWARD] * 2 + [FORWARD]
    assert of.resets == 2


def test_a_person_is_called_at_once_when_the_cube_is_off_the_table() -> None:
    of = practice(Says(False))
    idle = Idle(of.simulator, FORWARD, push_at=5)
    lost, after = of.attempts({FORWARD: idle, BACK: idle}, 2)
    assert (lost.called, len(lost), of.resets) == ("out of reach", 5, 1)
    assert after.direction == FORWARD
    assert abs(after.environment_state[0, 0]) < 0.24


def test_a_success_ends_the_row_of_failures() -> None:
    class Sometimes(Says):
        def done(self, simulator: Simulator, step: int) -> bool:
            return len(self.begun) % 3 == 0 and step >= 30

    of = practice(Sometimes(True), seconds=1.6, patience=3)
    list(of.attempts(experts(of), 9))
    assert of.resets == 0


def attempt(verdict: bool, truth: bool, learnable: bool = True) -> Attempt:
    rows = np.zeros((30, 1), np.float32)
    return Attempt(FORWARD, verdict, truth, "", learnable, rows, rows, rows)


def test_only_verdicts_choose_what_is_learnt_from() -> None:
    made = [attempt(True, False), attempt(False, True), attempt(True, True), attempt(True, True, learnable=False)]
    assert by_verdict(made) == [True, False, True, False]


def test_shuffled_verdicts_choose_as_many_of_the_learnable() -> None:
    made = [attempt(number < 6, True, learnable=number != 2) for number in range(20)]
    choose = by_shuffled_verdict(np.random.default_rng(0))
    drawn = np.array([choose(made) for _ in range(200)])
    assert (drawn.sum(1) == 5).all()
    assert not drawn[:, 2].any()
    assert drawn[:, 10].mean() == pytest.approx(5 / 19, abs=0.1)


@pytest.fixture(scope="module")
def demonstrations() -> Mapping[str, list]:
    recorder = Recorder("lift", RecordingOptions(robot="gripper", cameras=()))
    shown: dict[str, list] = {FORWARD: [], BACK: []}
    for seed in range(2):
        shown[FORWARD].append(recorder.record(seed))
        shown[BACK].append(record_back(recorder.simulator, seed, options=recorder.options))
    return shown


def rounds(demonstrations, judge, choose=by_verdict):
    of = practice(judge, seconds=1.6)
    first = learn(demonstrations, of.simulator, QUICK)
    return list(practise(of, first, demonstrations, QUICK, rounds=2, attempts=4, choose=choose))


def test_policies_of_each_direction_see_what_is_theirs(demonstrations) -> None:
    policies = learn(demonstrations, Simulator(LIFT, "gripper"), QUICK)
    assert policies[FORWARD].signature.environment_state == policies[BACK].signature.environment_state[:6]
    assert policies[BACK].signature.environment_state[-1] == "hand goal.z"
    policies[FORWARD].signature.check_fits(Simulator(LIFT, "gripper"))


def test_kept_attempts_add_up_and_change_what_is_learnt(demonstrations) -> None:
    all_kept, none_kept = rounds(demonstrations, Says(True)), rounds(demonstrations, Says(False))
    assert [(one.number, one.kept) for one in all_kept] == [(1, 4), (2, 8)]
    assert [one.kept for one in none_kept] == [0, 0]
    # after a round in which nothing was kept, the policy is that of the demonstrations with the next seed
    again = learn(demonstrations, Simulator(LIFT, "gripper"), replace(QUICK, seed=QUICK.seed + 1))
    seen = demonstrations[FORWARD][0].state[0], demonstrations[FORWARD][0].environment_state[0]
    assert (none_kept[0].policies[FORWARD].act(*seen) == again[FORWARD].act(*seen)).all()
    assert not np.allclose(all_kept[0].policies[FORWARD].act(*seen), again[FORWARD].act(*seen), atol=1e-5)


def test_the_same_seed_practises_the_same(demonstrations) -> None:
    one, two = rounds(demonstrations, Says(True)), rounds(demonstrations, Says(True))
    for first, second in zip(one, two, strict=True):
        assert first.attempts == second.attempts
        assert all((a.state == b.state).all() for a, b in zip(first.attempts, second.attempts, strict=True))


def test_tasks_and_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidValue, match="push-to-goal has no way back"):
        Practice(Simulator(find_task("push-to-goal"), "gripper"), Says(True), 0)
    with pytest.raises(InvalidValue, match="longer than the shortest"):
        PracticeConfig(seconds=1.0, shortest=1.0)
    with pytest.raises(InvalidValue, match="patience from 1"):
        PracticeConfig(patience=0)


class RedAbove:
    """Tells success from pictures: how much red the upper half shows, as a share of 1 % of its pixels."""

    name = fingerprint = "red-above"
    needs = Needs()

    def read(self, pixels: Array) -> float:
        upper = pixels[: len(pixels) // 2].astype(int)
        red = (upper[..., 0] > 90) & (upper[..., 0] > 2 * upper[..., 1]) & (upper[..., 0] > 2 * upper[..., 2])
        return min(1.0, float(red.mean()) / 0.01)

    def estimate(self, episodes, stride: int = 1):
        for episode in episodes:
            success = np.array([self.read(pixels) for pixels in episode.camera("front")])
            seen = np.arange(len(success)) % stride == 0
            seen[-1] = True
            yield ProgressCurve(success, seen, self.fingerprint, success=success)

    def stream(self, instruction: str | None = None):
        self.told = instruction
        owner = self

        class Running:
            def push(self, frames, time, state=None):
                value = owner.read(frames["front"])
                return Reading(time, value, success=value)

        return Running()


CONFIG = DetectorConfig(on=0.5, frames=2, latch=True)


def looked_on(judge: LearnedJudge, simulator: Simulator, pictures: list[Array]) -> int | None:
    """The step at which the judge declares a success of an expert's attempt, None for never; keeps pictures."""
    judge.begin(FORWARD)
    for step in range(120):
        pictures.append(simulator.frame("front", 48, 48))
        if judge.done(simulator, step):
            return step
        simulator.step(simulator.command(LIFT.act(simulator.situation())))
    return None


@pytest.mark.parametrize("every", [1, 3])
def test_a_learned_judge_says_what_its_detector_says_of_the_pictures(every: int) -> None:
    classifier = RedAbove()
    judge = LearnedJudge(classifier, {FORWARD: Direction("lift it", Calibrated(CONFIG, 0.1, 9, 1))}, "front", 48, every)
    simulator, pictures = Simulator(LIFT, "gripper"), []
    simulator.reset(LIFT.layout(1))
    fired = looked_on(judge, simulator, pictures)
    success = np.array([classifier.read(pixels) for pixels in pictures])
    steps = np.arange(len(pictures))
    (event,) = detect(CONFIG, Readings(steps / simulator.fps, success, steps % every == 0))
    assert fired == event.frame
    assert fired > 20
    assert classifier.told == "lift it"
    judge.begin(FORWARD)  # the next attempt begins as it is to end, which declares nothing
    assert not any(judge.done(simulator, step) for step in range(30))


def test_calibration_lets_no_more_failures_pass_than_promised() -> None:
    failures = []
    for number in range(20):
        # the red of failures differs; what lies between looks, the last frame too, is all red: no judge will see it
        pixels = np.zeros((14, 40, 40, 3), np.uint8)
        pixels[::3, 0, : number % 7, 0] = 200
        pixels[1::3, ..., 0] = 200
        cameras = {"front": ArrayFrames(pixels)}
        failures.append(Episode(index=number, first_frame=0, fps=20.0, cameras=cameras, success=False))
    calibrated = calibrate(RedAbove(), failures, replace(CONFIG, frames=1), alpha=0.1, every=3, least=0.2)
    assert calibrated.config.latch
    assert calibrated.episodes == 20
    looks = [[RedAbove().read(pixels) for pixels in list(e.camera("front"))[::3]] for e in failures]
    passed = sum(max(values) >= calibrated.config.on for values in looks)
    assert passed <= calibrated.allowed
    assert 0.2 <= calibrated.config.on < 1
    labelled = [replace(failures[0], success=True), *failures[1:]]
    with pytest.raises(InvalidValue, match="leave the successes out"):
        calibrate(RedAbove(), labelled, CONFIG, 0.1, 3)
