from dataclasses import replace

import numpy as np
import pytest

from headway.errors import OutputError
from headway.signals.weights.outcome import success_filter
from headway_envs.recording import Recorder, RecordingOptions
from headway_policies.behaviour_cloning import CloningConfig
from headway_policies.checkpoint import load_policy
from headway_policies.lanes import Setting
from headway_policies.loop_files import read_rounds
from headway_policies.self_improvement import LoopConfig, improve
from headway_policies.signature import signature_of

SETTING = Setting("lift", "gripper", seconds=1.5)
CONFIG = LoopConfig(
    rounds=3, rollouts=4, remembered=1, evaluated=3, exploration=(0.01, 0.01, 0.01, 0), explored=1.0, seed=2,
    cloning=CloningConfig(width=16, steps=25, batch=32),
)  # fmt: skip


class Height:
    """A scorer that never looks at the truth."""

    def __init__(self):
        self.at = signature_of("lift", "gripper").state.index("hand.z")

    def score(self, episodes):
        return [np.clip(one.state[:, self.at].astype(float) / 0.3, 0, 1) for one in episodes]


def by_final(frames, rollouts):
    """Every frame weighs what its rollout ended with."""
    return np.concatenate([np.full(len(one.progress), one.progress[-1] ** 4) for one in rollouts])


@pytest.fixture(scope="module")
def shown():
    recorder = Recorder("lift", RecordingOptions(robot="gripper", cameras=()))
    return [recorder.record(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def finished(shown, tmp_path_factory):
    folder = tmp_path_factory.mktemp("loop") / "whole"
    return folder, improve(shown, Height(), by_final, SETTING, CONFIG, folder, "a test")


def content(folder):
    return [(folder / f"round-{number}" / "rollouts.npz").read_bytes() for number in range(3)]


def test_a_loop_keeps_its_rounds_rollouts_and_policies(finished):
    folder, rounds = finished
    assert [one.number for one in rounds] == [0, 1, 2]
    assert read_rounds(folder) == rounds
    assert all(0 <= one.proxy <= 1 and 0 <= one.truth <= 1 and len(one.outcomes) == 3 for one in rounds)
    assert rounds[0].chi_square is None, "the first round is the data"
    assert not rounds[0].alarm
    assert rounds[1].chi_square is not None
    assert len(rounds[1].beyond) == 2
    assert rounds[0].effective is None
    assert 0 < rounds[1].effective <= 1
    with np.load(folder / "round-0" / "rollouts.npz") as first, np.load(folder / "round-1" / "rollouts.npz") as second:
        assert len(first["length"]) == 8
        assert len(second["length"]) == 4
        assert not set(first["seed"]) & set(second["seed"]), "layouts are fresh in every round"
        assert len(first["progress"]) == len(first["true_progress"]) == first["length"].sum()
    assert load_policy(folder / "round-2").signature == signature_of("lift", "gripper")


def test_a_loop_cut_short_ends_the_same(finished, shown, tmp_path):
    whole, rounds = finished

    class Cut(Exception):
        pass

    def cut(one):
        if one.number == 1:
            raise Cut

    with pytest.raises(Cut):
        improve(shown, Height(), by_final, SETTING, CONFIG, tmp_path, "a test", advance=cut)
    # the rollouts of the next round were begun, and its line was not written
    (tmp_path / "round-2").mkdir()
    (tmp_path / "round-2" / "rollouts.npz").write_bytes(b"half")
    told = []
    again = improve(shown, Height(), by_final, SETTING, CONFIG, tmp_path, "a test", advance=told.append)
    assert again == told == rounds
    assert content(tmp_path) == content(whole)


def test_the_truth_changes_nothing_but_what_is_written_of_it(finished, shown, tmp_path, monkeypatch):
    whole, rounds = finished
    import headway_policies.recorded_rollouts as module

    real = module.truth

    def lie(task, layout, situations):
        known = real(task, layout, situations)
        return replace(known, progress=1 - known.progress, success=~known.success)

    monkeypatch.setattr(module, "truth", lie)
    lied = improve(shown, Height(), by_final, SETTING, replace(CONFIG, rounds=2), tmp_path, "a test")
    assert [one.outcomes for one in lied] == [one.outcomes for one in rounds[:2]]
    with np.load(tmp_path / "round-1" / "rollouts.npz") as there, np.load(whole / "round-1" / "rollouts.npz") as here:
        assert np.array_equal(there["action"], here["action"])
        assert not np.array_equal(there["true_progress"], here["true_progress"])


def test_the_score_decides_what_is_learnt(finished, shown, tmp_path):
    whole, _ = finished

    def lowest(frames, rollouts):
        return 1 - by_final(frames, rollouts)

    improve(shown, Height(), lowest, SETTING, replace(CONFIG, rounds=2), tmp_path, "a test")
    assert (tmp_path / "round-0/policy.safetensors").read_bytes() == (whole / "round-0/policy.safetensors").read_bytes()
    assert (tmp_path / "round-1/policy.safetensors").read_bytes() != (whole / "round-1/policy.safetensors").read_bytes()


def test_a_share_of_nothing_is_no_loop(shown, tmp_path):
    improve(shown, Height(), by_final, SETTING, replace(CONFIG, rounds=2, share=0.0), tmp_path, "a test")
    first, second = ((tmp_path / f"round-{number}/policy.safetensors").read_bytes() for number in (0, 1))
    assert first == second


def test_rollouts_none_of_which_is_kept_leave_the_demonstrations(shown, tmp_path):
    def none(frames, rollouts):
        assert not frames.success.any(), "no hand is that high"
        return success_filter(frames)

    config = replace(CONFIG, rounds=2, done=1.1)
    improve(shown, Height(), none, SETTING, config, tmp_path, "a test")
    first, second = ((tmp_path / f"round-{number}/policy.safetensors").read_bytes() for number in (0, 1))
    assert first == second


def test_another_loop_s_folder_is_left_alone(finished, shown):
    folder, rounds = finished
    with pytest.raises(OutputError, match="another about"):
        improve(shown, Height(), by_final, SETTING, CONFIG, folder, "another")
    with pytest.raises(OutputError, match="another seed"):
        improve(shown, Height(), by_final, SETTING, replace(CONFIG, seed=3), folder, "a test")
    assert read_rounds(folder) == rounds
