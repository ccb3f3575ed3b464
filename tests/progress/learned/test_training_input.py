"""A step's input is ready before the step needs it: the same weights, no thread left, and waiting that shows."""

import json
import os
import signal
import threading
import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch

from headway.encoders.cache import FeatureCache
from headway.errors import VideoError
from headway.learned.ahead import Ahead
from headway.learned.diary import diary_path, waited_share
from headway.learned.inputs import InputConfig
from headway.learned.lessons import negatives_of
from headway.learned.method import Step, TaskEpisodes, TrainingConfig, prepare
from headway.learned.methods import METHODS
from headway.learned.sarm import Sarm
from headway.learned.train_member import make_reader, train_member
from headway.learned.training import Course
from headway.learned.trunk import Sizes, TrunkConfig

NAMES = ("right", "down")
INPUTS = InputConfig(("top",), image_size=32)
TRAINING = TrainingConfig(epochs=2, batch=3, validation=0.25)
# so small a network that what it waits for is what takes its time
SMALL = Sarm(InputConfig(("top",), "pixels"), TRAINING, trunk=TrunkConfig(width=8, layers=1, heads=1))


def quiet(step, steps, loss):
    pass


def helpers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("headway-ahead")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not helpers()


@pytest.fixture
def train(workshop, make_sliders, monkeypatch):
    """Trains one network: its weights."""

    def trained(method, ahead=None, on_step=quiet, **changes):
        if ahead is not None:
            monkeypatch.setattr("headway.learned.train_member.Course", partial(Course, ahead=ahead))
        tasks = [TaskEpisodes(make_sliders(6, failing=3), NAMES)]
        return train_member(method, tasks, replace(workshop, **changes), on_step).network.state_dict()

    return trained


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


# features on a disk of its own kind: every read of them does something first


class Disk(np.ndarray):
    """Features whose reading calls `on_read`."""

    on_read = staticmethod(lambda: None)

    def __getitem__(self, key):
        type(self).on_read()
        return np.asarray(super().__getitem__(key))


class OwnDisk(FeatureCache):
    """A cache whose features lie on such a disk."""

    def __init__(self, folder, on_read):
        super().__init__(folder)
        self.kind = type("OwnDisk", (Disk,), {"on_read": staticmethod(on_read)})

    def features(self, encoder, frames, every=1):
        return np.asarray(super().features(encoder, frames, every)).view(self.kind)


@dataclass
class Reads:
    """Sleeps on every read, and raises on the `broken`-th."""

    seconds: float = 0.0
    broken: int = 0
    done: int = 0

    def __call__(self):
        self.done += 1
        time.sleep(self.seconds)
        if self.done == self.broken:
            raise VideoError("demo.mp4 cannot be read; leave it out")


# the thread


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_results_come_in_the_order_of_the_jobs(depth):
    with Ahead((partial(int, number) for number in range(20)), depth) as results:
        assert list(results) == list(range(20))
        with pytest.raises(StopIteration):
            next(results)


def test_a_thread_does_what_comes_next_and_no_more_than_that():
    done, third = [], threading.Event()

    def job(number):
        done.append((number, threading.current_thread() is threading.main_thread()))
        if number == 2:
            third.set()
        return number

    with Ahead((partial(job, number) for number in range(20)), 2) as results:
        assert next(results) == 0
        assert third.wait(10)
        # whoever did more than two ahead would have done so by now
        time.sleep(0.05)
        assert done == [(0, False), (1, False), (2, False)]
    assert len(done) == 3


def test_what_a_job_raises_comes_where_its_result_is_asked_for():
    def fail():
        raise VideoError("demo.mp4 cannot be read")

    with Ahead([partial(int, 7), fail, partial(int, 8)], 2) as results:
        assert next(results) == 7
        with pytest.raises(VideoError, match=r"^demo\.mp4 cannot be read$"):
            next(results)


# training


@pytest.mark.parametrize("name", METHODS)
def test_what_is_prepared_ahead_changes_no_bit_of_the_weights(train, name, tmp_path):
    """With a disk that is now fast, now slow."""
    method = METHODS[name](INPUTS, TRAINING)
    if hasattr(method, "trunk"):
        method = replace(method, trunk=SMALL.trunk)
    alone = train(method, ahead=0)
    pace = np.random.default_rng(0)
    uneven = OwnDisk(tmp_path, lambda: time.sleep(pace.choice([0.0, 0.01])))
    assert same(alone, train(method, ahead=3, cache=uneven))


def test_a_step_that_was_prepared_reads_nothing_any_more(workshop, make_sliders, tmp_path):
    episodes = make_sliders(3, failing=2)
    reads = Reads()
    for make in METHODS.values():
        method = make(INPUTS)
        knowledge = method.study([TaskEpisodes(episodes, NAMES)])
        reader = make_reader(method, replace(workshop, cache=OwnDisk(tmp_path, reads)))
        lessons = [reader.read(episode, number, 0, knowledge) for number, episode in enumerate(episodes)]
        negatives = negatives_of([TaskEpisodes(episodes, NAMES)], reader.texts, method.wrong_text)
        rngs = [np.random.default_rng(number) for number in range(len(lessons))]
        step = prepare(method, Step(lessons, rngs, negatives, knowledge, torch.device("cpu")))
        assert reads.done >= len(lessons), method.name
        reads.done = 0
        network = method.network(Sizes((32, 32, 3), 1, reader.texts.dimension, 0, method.inputs.history), knowledge)
        assert method.terms(network, step)
        assert reads.done == 0, method.name


def test_a_training_that_was_killed_goes_on_with_what_is_prepared_ahead(train, tmp_path, monkeypatch):
    monkeypatch.setattr("headway.learned.training.SAVE_EVERY", 0.0)
    method = replace(SMALL, training=replace(TRAINING, epochs=4))
    whole = train(method, ahead=0)

    class Killed(Exception):
        pass

    def cut(step, steps, loss):
        if step == 4:
            raise Killed

    with pytest.raises(Killed):
        train(method, ahead=3, on_step=cut, folder=tmp_path)
    assert not helpers()
    assert same(whole, train(method, ahead=3, folder=tmp_path))


def test_a_training_that_stops_early_leaves_no_thread_behind(train, tmp_path, monkeypatch):
    losses = iter([1.0, *[2.0] * 50])
    monkeypatch.setattr(Course, "_validate", lambda course: next(losses))
    train(replace(SMALL, training=replace(TRAINING, epochs=40, patience=0.05)), folder=tmp_path)
    assert len(diary_path(tmp_path, 0).read_text().splitlines()) == 3
    assert not helpers()


@pytest.mark.parametrize("broken", [1, 10, 18])
def test_a_file_that_cannot_be_read_is_the_reason_given(train, tmp_path, broken):
    """Whichever it is: the first, or the very last, of a held-out episode in the second of two epochs."""
    reads = Reads(broken=broken)
    with pytest.raises(VideoError, match=r"^demo\.mp4 cannot be read; leave it out$"):
        train(SMALL, cache=OwnDisk(tmp_path, reads))
    assert not helpers()


def test_ctrl_c_while_a_disk_is_slow_ends_the_training(train, tmp_path):
    interrupted = threading.Event()

    def slow():
        if not interrupted.is_set():
            interrupted.set()
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        time.sleep(0.4)

    disk = OwnDisk(tmp_path, slow)
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, cache=disk)
    assert not helpers()


# the share of the time in which a network waits


def test_waiting_for_a_slow_disk_is_written_down(train, tmp_path):
    shares = {}
    for name, reads in (("slow", Reads(seconds=0.05)), ("fast", Reads())):
        train(SMALL, cache=OwnDisk(tmp_path / "features", reads), folder=tmp_path / name)
        lines = [json.loads(line) for line in diary_path(tmp_path / name, 0).read_text().splitlines()]
        assert len(lines) == 2
        assert all(0 <= line["waited_share"] <= 1 and line["epoch_seconds"] > 0 for line in lines)
        shares[name] = waited_share(tmp_path / name, 1)
    assert shares["slow"] > 0.6
    assert shares["fast"] < shares["slow"] - 0.2


def test_a_disk_no_slower_than_the_network_is_not_waited_for(train, tmp_path):
    """A step is read in 0.03 s, and takes more than twice that: with nothing ahead a third of the time is waited."""
    shares = []
    for ahead in (0, 2):
        folder = tmp_path / str(ahead)
        method = replace(SMALL, training=replace(TRAINING, epochs=4, validation=0.0))
        disk = OwnDisk(tmp_path, Reads(seconds=0.01))
        train(method, ahead, on_step=lambda *_: time.sleep(0.06), cache=disk, folder=folder)
        lines = map(json.loads, diary_path(folder, 0).read_text().splitlines())
        # the first step of all has nothing to hide behind
        shares.append(min(line["waited_share"] for line in lines))
    assert shares[1] < shares[0] / 2


def test_the_share_is_that_of_all_networks_and_epochs_that_tell(tmp_path):
    assert waited_share(tmp_path, 2) is None
    diary_path(tmp_path, 0).write_text('{"epoch": 0, "loss": 1.0}\n{"epoch_seconds": 30, "waited_share": 0.1}\n{"epo')
    diary_path(tmp_path, 1).write_text('{"epoch_seconds": 10, "waited_share": 0.5}\n[]\n')
    assert waited_share(tmp_path, 2) == pytest.approx(8 / 40)
    assert waited_share(tmp_path, 1) == pytest.approx(0.1)
