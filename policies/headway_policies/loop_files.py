"""What a self-improvement loop leaves behind, and from where one that was cut short goes on.

loop.json           what was asked for
rounds.jsonl        one line a finished round
round-0/, ...       rollouts.npz (numbers, scores, truth), and the policy
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headway.episodes import Array
from headway.errors import OutputError
from headway.files import make_folder, replacing, write_json
from headway_envs.trajectory import Trajectory
from headway_policies.behaviour_cloning import ClonedPolicy
from headway_policies.checkpoint import save_policy

ASKED, ROUNDS, ROLLOUTS = "loop.json", "rounds.jsonl", "rollouts.npz"


@dataclass(frozen=True)
class Round:
    """What one round saw.

    Attributes:
        number: from 0.
        proxy: progress of the rollouts as the scorer says, mean over the time allowed (`time_averaged`).
        truth: true progress of the rollouts at their end, mean.
        rollout_success: share of the rollouts that truly succeeded, exploration and all.
        outcomes: for each evaluation layout, 1 where the policy succeeds, else 0.
        chi_square: divergence of what the policy visits from the data; None in the first round, which is the data.
        beyond, needed: of the alarm, for each half of the rollouts.
        alarm: whether it rang.
        effective: effective number of the frames that were weighed, as a share of them: (sum w)^2 / (n sum w^2);
            None where there were none.
    """

    number: int
    proxy: float
    truth: float
    rollout_success: float
    outcomes: tuple[int, ...]
    chi_square: float | None
    beyond: tuple[int, ...]
    needed: tuple[int, ...]
    alarm: bool
    effective: float | None

    @property
    def success(self) -> float:
        """Share of the evaluation layouts on which the policy succeeds."""
        return sum(self.outcomes) / len(self.outcomes)


@dataclass(frozen=True, repr=False)
class Kept:
    """The numbers of a rollout and its score: all that later rounds need, and a Recording."""

    state: Array
    environment_state: Array
    action: Array
    progress: Array


def read_rounds(folder: Path) -> list[Round]:
    """The finished rounds of the loop in that folder."""
    return [_round(line) for line in _lines(folder)]


def write_round(
    folder: Path, finished: Round, policy: ClonedPolicy, trajectories: Sequence[Trajectory], progress: Sequence[Array]
) -> None:
    """The line of the round comes last: a round without one is done again."""
    place = folder / f"round-{finished.number}"
    make_folder(place)
    save_policy(place, policy)
    with replacing(place / ROLLOUTS) as beside, beside.open("wb") as file:
        np.savez(
            file,
            seed=np.array([one.seed for one in trajectories]),
            length=np.array([len(one) for one in trajectories]),
            state=np.concatenate([one.state for one in trajectories]),
            environment_state=np.concatenate([one.environment_state for one in trajectories]),
            action=np.concatenate([one.action for one in trajectories]),
            progress=np.concatenate(progress),
            true_progress=np.concatenate([one.truth.progress for one in trajectories]),
        )
    lines = [*_lines(folder), json.dumps(asdict(finished))]
    with replacing(folder / ROUNDS) as beside:
        beside.write_text("\n".join(lines) + "\n")


def read_rollouts(place: Path) -> list[Kept]:
    try:
        with np.load(place / ROLLOUTS) as numbers:
            edges = np.cumsum(numbers["length"])[:-1]
            parts = [np.split(numbers[name], edges) for name in ("state", "environment_state", "action", "progress")]
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"the rollouts in {place} are damaged ({error}); delete the folder of the loop") from error
    return [Kept(*each) for each in zip(*parts, strict=True)]


def take_up(folder: Path, asked: dict[str, Any]) -> list[Round]:
    """The rounds that are finished. Raises OutputError when the folder holds another loop."""
    path = folder / ASKED
    if path.is_file():
        there = json.loads(path.read_text())
        other = [name for name in sorted({*asked, *there}) if asked.get(name) != there.get(name)]
        if other:
            raise OutputError(f"{folder} holds a loop with another {', '.join(other)}; choose another folder")
        return read_rounds(folder)
    make_folder(folder)
    write_json(path, asked)
    return []


def _lines(folder: Path) -> list[str]:
    path = folder / ROUNDS
    return path.read_text().splitlines() if path.is_file() else []


def _round(line: str) -> Round:
    content: dict[str, Any] = json.loads(line)
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
    }
    return Round(**values)
