"""The training loop: the same steps after a cut, in several processes, and no longer than held-out episodes gain."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headway.errors import DatasetError, Unsupported
from headway.learned.diary import tracker
from headway.learned.lessons import split
from headway.learned.method import TaskEpisodes
from headway.learned.resume import forget_states, load_state, save_state
from headway.learned.train_member import train_member
from headway.learned.training import Course

NAMES = ("right", "down")
ROOT = Path(__file__).parents[3]


def quiet(step, steps, loss):
    pass


def weights_of(member):
    return member.network.state_dict()


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def short(method):
    return replace(method, training=replace(method.training, epochs=4, validation=0.25))


def test_same_seed_same_weights(short, workshop, make_sliders):
    def trained(seed):
        method = replace(short, training=replace(short.training, seed=seed, epochs=2))
        return weights_of(train_member(method, [TaskEpisodes(make_sliders(4), NAMES)], workshop, quiet))

    first, second, other = trained(0), trained(0), trained(1)
    assert same(first, second)
    assert not same(first, other)


class Killed(Exception):
    pass


def test_a_training_that_was_cut_short_goes_on_and_ends_with_the_same_weights(
    short, workshop, make_sliders, tmp_path, monkeypatch
):
    monkeypatch.setattr("headway.learned.training.SAVE_EVERY", 0.0)
    tasks = [TaskEpisodes(make_sliders(6), NAMES)]
    whole = weights_of(train_member(short, tasks, workshop, quiet))
    steps = []

    def cut(step, steps_in_all, loss):
        steps.append(step)
        if step == 3:
            raise Killed

    own = replace(workshop, folder=tmp_path)
    with pytest.raises(Killed):
        train_member(short, tasks, own, cut)
    assert (tmp_path / "member-0.state").exists()
    steps.clear()
    resumed = weights_of(train_member(short, tasks, own, lambda step, total, loss: steps.append(step)))
    assert steps[0] == 3
    assert same(whole, resumed)
    # a network that is ready is not trained again, as where another of the same run was cut short
    steps.clear()
    again = weights_of(train_member(short, tasks, own, lambda step, total, loss: steps.append(step)))
    assert not steps
    assert same(whole, again)
    forget_states(tmp_path)
    assert not (tmp_path / "member-0.state").exists()


def test_a_state_of_another_run_or_a_damaged_one_is_not_taken_up(tmp_path):
    path = tmp_path / "state"
    save_state(path, {"identity": "one", "epoch": 3, "network": {"w": torch.ones(2)}})
    assert load_state(path, "one")["epoch"] == 3
    assert load_state(path, "another") is None
    path.write_bytes(path.read_bytes()[:100])
    assert load_state(path, "one") is None
    assert load_state(tmp_path / "none", "one") is None


def test_a_pickle_in_the_place_of_a_state_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "boom"),)

    torch.save({"identity": "one", "epoch": Bomb()}, tmp_path / "state")
    assert load_state(tmp_path / "state", "one") is None
    assert not (tmp_path / "boom").exists()


def test_training_stops_when_held_out_episodes_gain_no_more_and_keeps_the_best_weights(
    short, workshop, make_sliders, tmp_path, monkeypatch
):
    method = replace(short, training=replace(short.training, epochs=20, patience=0.15))
    losses = iter([5.0, 3.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0])
    kept = []

    def validate(course):
        kept.append({name: tensor.clone() for name, tensor in course.network.state_dict().items()})
        return next(losses)

    monkeypatch.setattr(Course, "_validate", validate)
    member = train_member(method, [TaskEpisodes(make_sliders(8), NAMES)], replace(workshop, folder=tmp_path), quiet)
    lines = [json.loads(line) for line in (tmp_path / "training-0.jsonl").read_text().splitlines()]
    assert [line["validation_loss"] for line in lines] == [5.0, 3.0, 4.0, 4.0, 4.0]
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3, 4]
    assert all(np.isfinite(line["loss"]) and line["seconds"] > 0 for line in lines)
    assert same(weights_of(member), kept[1])


def test_validation_draws_nothing_and_changes_nothing(short, workshop, make_sliders, tmp_path, monkeypatch):
    values = []
    validate = Course._validate

    def twice(course):
        before = {name: tensor.clone() for name, tensor in course.network.state_dict().items()}
        values.append((validate(course), validate(course)))
        assert same(before, course.network.state_dict())
        return values[-1][0]

    monkeypatch.setattr(Course, "_validate", twice)
    train_member(short, [TaskEpisodes(make_sliders(8), NAMES)], workshop, quiet)
    assert len(values) >= 3
    assert all(first == second for first, second in values)


def test_held_out_episodes_are_a_share_of_successes_and_failures_alike(make_sliders):
    episodes = make_sliders(20, failing=10)
    out = split(episodes, 0.2, seed=0)
    success = np.array([episode.success for episode in episodes])
    assert (out[success].sum(), out[~success].sum()) == (4, 2)
    assert not split(episodes[:4], 0.1, seed=0).any()
    assert (split(episodes, 0.2, seed=1) != out).any()


def test_where_a_demonstration_is_needed_one_is_held_out_if_another_is_left(make_sliders):
    few = make_sliders(2, failing=3)
    out = split(few, 0, seed=0, needs_demonstration=True)
    assert [few[i].success for i in np.flatnonzero(out)] == [True]
    assert not split(make_sliders(1, failing=3), 0, seed=0, needs_demonstration=True).any()


def test_held_out_episodes_teach_nothing(short, workshop, make_sliders):
    """What is shown of a held-out episode changes the weights only through the choice of the best epoch."""
    episodes = make_sliders(8)
    out = int(np.flatnonzero(split(episodes, 0.25, short.training.seed))[0])
    method = replace(short, training=replace(short.training, epochs=1))
    changed = [replace(e, instruction="other words") if i == out else e for i, e in enumerate(episodes)]
    first, second = (
        weights_of(train_member(replace(method, wrong_text=0.0), [TaskEpisodes(those, NAMES)], workshop, quiet))
        for those in (episodes, changed)
    )
    assert same(first, second)


def test_episodes_from_which_nothing_can_be_learned_are_one_clear_line(short, workshop, make_sliders):
    method = replace(short, teacher="truth")
    bare = [replace(episode, truth=None) for episode in make_sliders(3)]
    with pytest.raises(DatasetError, match="carries no truth"):
        train_member(method, [TaskEpisodes(bare, NAMES)], workshop, quiet)


def test_a_tracker_that_is_not_installed_is_one_clear_line():
    with pytest.raises(Unsupported, match="--track wandb needs the package wandb: pip install wandb"):
        tracker("wandb", "run", {})


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path[:0] = [{tests!r}]
from conftest import sliders
import torch
from safetensors.torch import save_file
from headway.encoders.cache import FeatureCache
from headway.learned.inputs import InputConfig
from headway.learned.members import Workshop
from headway.learned.method import TaskEpisodes, TrainingConfig
from headway.learned.sarm import Sarm
from headway.learned.team import Team
from headway.learned.train_member import train_member
from headway.learned.trunk import TrunkConfig
folder = Path(sys.argv[1])
method = Sarm(
    InputConfig(("top",), image_size=32),
    TrainingConfig(epochs=2, batch=4, validation=0.25),
    trunk=TrunkConfig(dropout=0.0),
)
tasks = [TaskEpisodes(sliders(7), ("right", "down"))]
member = train_member(method, tasks, Workshop(FeatureCache(folder)), lambda *_: None)
if Team().leads:
    weights = member.network.state_dict()
    save_file(dict(zip(weights, map(torch.Tensor.contiguous, weights.values()))), folder / sys.argv[2])
"""


def test_two_processes_take_the_steps_that_one_takes(tmp_path):
    """Seven episodes in batches of four: with two processes some batches are shared unevenly."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(ROOT / "tests")))
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    for command, name in (([sys.executable], "one"), (launch, "two")):
        done = subprocess.run(
            [*command, script, tmp_path, name], env=environment, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr[-2000:]
    from safetensors.torch import load_file

    one, two = load_file(tmp_path / "one"), load_file(tmp_path / "two")
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-5, rtol=1e-3)
