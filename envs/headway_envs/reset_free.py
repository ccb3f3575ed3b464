"""The way back: after an attempt at a task, things lie on the table again, the hand is away, and another may begin.

Nobody touches the scene in between. Where things go back to is a goal, a layout of the task, told to whoever brings
them there; the expert is the task's own `undo`, followed by taking the hand away.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array, ArrayFrames, Episode
from headway.errors import InvalidValue, UnknownName
from headway_envs.acting import HOLD
from headway_envs.disturbance import Disturbance
from headway_envs.motion import Point, Wish, heading, lateral
from headway_envs.observations import environment_names, environment_state
from headway_envs.recording import RecordingOptions
from headway_envs.simulator import Simulator
from headway_envs.tasks.base import Layout, Situation, Task
from headway_envs.tasks.grasping import grasped, rest

BACK_INSTRUCTION = "put the red cube back on the table and take the hand away"
KINDS = ("expert", "hold", "stay", "abandon")
"""Who brings things back: one who makes no mistake, never lets go, lets go but stays, or stops half way."""
BACK_SECONDS = 8.0

_FLAT = 0.006
"""Metres by which a cube may be higher or lower than one that lies flat on the table."""
_AWAY, _UP, _OPEN = 0.12, 0.13, 0.052
"""A hand that is away from a thing is that far from it, seen from above, so high, and so far open, in metres."""
_APART, _CLEAR = 0.12, 0.2
"""Metres, seen from above: between a thing's goal and other things, and between it and the hand's goal."""
_ARRIVED = 0.02
_DRAWS = 1000


def check_way_back(task: Task) -> None:
    """Raises InvalidValue for a task in which nothing is carried: what was pushed or counted has no way back here."""
    if not task.to_place:
        raise InvalidValue(f"{task.id} has no way back: nothing is carried in it; take a task such as lift")


def lies(task: Task, situation: Situation) -> bool:
    """Whether all that is to be carried lies flat on the table, let go, and the task is not done."""
    low = all(abs(situation.objects[number][2] - rest(situation)) < _FLAT for number in task.to_place)
    held = any(grasped(situation, number) for number in task.to_place)
    return low and not held and not task.success(situation)


def ready(task: Task, situation: Situation) -> bool:
    """The truth of the way back: things lie on the table, and the open hand is up and away from them."""
    hand = situation.hand
    away = all(lateral(hand, situation.objects[number]) > _AWAY for number in task.to_place)
    return lies(task, situation) and away and hand[2] > _UP and situation.opening > _OPEN


def out_of_reach(simulator: Simulator, situation: Situation) -> bool:
    """Whether a thing to carry has left the box that the hand can reach: no policy brings it back.

    It looks at where things are taken to be, which is what a policy on states is shown too; not at the truth of the
    task. Something on the floor is below the box.
    """
    low, high = simulator.robot.action_low[:2], simulator.robot.action_high[:2]
    places = np.array([situation.objects[number] for number in simulator.task.to_place])
    return bool(((places[:, :2] < low) | (places[:, :2] > high)).any() or (places[:, 2] < 0).any())


def draw_goal(task: Task, situation: Situation, random: np.random.Generator) -> Layout:
    """Where things and hand are to go: as in a layout drawn from `random`, clear of the other things as they lie now.

    A thing that lies on the table already goes elsewhere too: where one attempt failed, so would the next.
    """
    check_way_back(task)
    others = [place for number, place in enumerate(situation.objects) if number not in task.to_place]
    for _ in range(_DRAWS):
        goal = task.layout(int(random.integers(2**40)), situation.edge)
        places = [goal.objects[number] for number in task.to_place]
        clear = all(lateral(place, other) >= _APART for place in places for other in others)
        if clear and all(lateral(place, goal.hand) >= _CLEAR for place in places):
            return goal
    raise InvalidValue(f"found no free place to put things back to in {task.id}")


def goal_state(task: Task, goal: Situation) -> Array:
    """float32 (3 x things to carry + 3,): where they are to go, and the hand after them, metres."""
    places: list[Point] = [*(goal.objects[number] for number in task.to_place), goal.hand]
    return np.array(places, dtype=np.float32).ravel()


def goal_names(task: Task) -> tuple[str, ...]:
    """What those values are, in order."""
    whose = [*(f"{task.objects[number]} goal" for number in task.to_place), "hand goal"]
    return tuple(f"{name}.{axis}" for name in whose for axis in "xyz")


def back_names(task: Task) -> tuple[str, ...]:
    """What a policy for the way back sees besides the robot's state: what one for the task sees, and the goal."""
    return environment_names(task) + goal_names(task)


def back_state(task: Task, situation: Situation, goal: Layout) -> Array:
    """Those values, float32 (dim,)."""
    return np.concatenate([environment_state(task, situation), goal_state(task, goal)])


def bring_back(task: Task, situation: Situation, goal: Layout) -> Wish:
    """The expert of the way back, a function of the situation: things to their goals, then the open hand to its own."""
    wish = task.undo(situation, goal)
    return (heading(situation.hand, goal.hand), 1.0) if wish is None else wish


@dataclass(frozen=True, repr=False)
class BackTrip:
    """One recorded way back.

    Attributes:
        kind: of KINDS.
        success: whether another attempt could begin at its end.
        fps: frames per second.
        state: float32 (time, state_dim).
        environment_state: float32 (time, dim), values named by `back_names`.
        action: float32 (time, action_dim), what was wanted, before any disturbance.
        frames: camera -> uint8 RGB (time, height, width, 3).
    """

    kind: str
    success: bool
    fps: float
    state: Array
    environment_state: Array
    action: Array
    frames: dict[str, Array]

    def episode(self, index: int = 0) -> Episode:
        """The same as an Episode; needs at least one camera."""
        return Episode(
            index=index,
            first_frame=0,
            fps=float(self.fps),
            cameras={name: ArrayFrames(pixels) for name, pixels in self.frames.items()},
            instruction=BACK_INSTRUCTION,
            state=self.state,
            environment_state=self.environment_state,
            action=self.action,
            success=self.success,
            kind=self.kind,
        )


def record_back(
    simulator: Simulator, seed: int, kind: str = "expert", options: RecordingOptions | None = None
) -> BackTrip:
    """Bring things back from where they are now in `simulator`, whose scene it leaves as it ends.

    Args:
        simulator: as an attempt at its task left it.
        seed: of the goal, the disturbance and the mistake.
        kind: of KINDS.
        options: cameras, size of frames and disturbance; the rest is the simulator's.

    Raises UnknownName for an unknown kind, InvalidValue for a task without a way back.
    """
    if kind not in KINDS:
        raise UnknownName("kind of way back", kind, KINDS)
    options = options or RecordingOptions()
    task, situation = simulator.task, simulator.situation()
    random = np.random.default_rng([seed, 11])
    goal = draw_goal(task, situation, random)
    pushes = Disturbance(simulator.robot.pushes, options.disturbance, simulator.fps, random)
    wishes = _wishes(simulator, goal, kind, random)
    states, seen, actions = [], [], []
    frames: dict[str, list[Array]] = {name: [] for name in options.cameras}
    for wish in wishes:
        for name, drawn in frames.items():
            drawn.append(simulator.frame(name, options.size, options.size))
        states.append(simulator.robot.state(simulator.data))
        seen.append(back_state(task, simulator.situation(), goal))
        actions.append(simulator.command(wish))
        simulator.step(actions[-1], pushes.next())
    return BackTrip(
        kind,
        ready(task, simulator.situation()),
        simulator.fps,
        np.stack(states),
        np.stack(seen),
        np.stack(actions).astype(np.float32),
        {name: np.stack(drawn) for name, drawn in frames.items()},
    )


def _wishes(simulator: Simulator, goal: Layout, kind: str, random: np.random.Generator) -> Iterator[Wish]:
    """What somebody of that kind wishes, step by step, until it takes things to be back or gives up."""
    task, fps = simulator.task, simulator.fps
    last = round(fps * (BACK_SECONDS if kind == "expert" else random.uniform(4, 6)))
    stops = round(fps * random.uniform(0.3, 2.0)) if kind == "abandon" else last
    held, keeps, before = 0, False, (simulator.situation().hand, -1.0)
    for step in range(last):
        situation = simulator.situation()
        wish = bring_back(task, situation, goal)
        carries = any(grasped(situation, number) for number in task.to_place)
        keeps = keeps or (kind == "hold" and carries and wish[1] > 0)
        if keeps:
            wish = heading(situation.hand, goal.hand), -1.0
        elif kind == "stay" and not carries and lies(task, situation):
            wish = before[0], 1.0
        elif step >= stops:
            wish = before
        before = wish
        yield wish
        arrived = lateral(situation.hand, goal.hand) < _ARRIVED and abs(situation.hand[2] - goal.hand[2]) < _ARRIVED
        held = held + 1 if kind == "expert" and arrived and ready(task, situation) else 0
        if held >= HOLD * fps:
            return
