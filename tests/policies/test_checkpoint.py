import json

import numpy as np
import pytest

from headway.errors import CheckpointError
from headway_policies.behaviour_cloning import CloningConfig, clone
from headway_policies.checkpoint import CONFIG, WEIGHTS, load_policy, save_policy


@pytest.fixture
def saved(contradiction, tmp_path):
    policy = clone(contradiction, np.ones(80), CloningConfig(width=16, steps=5)).policy
    save_policy(tmp_path / "policy", policy)
    return tmp_path / "policy", policy


def refusal(folder):
    with pytest.raises(CheckpointError) as raised:
        load_policy(folder)
    message = str(raised.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_a_loaded_policy_acts_as_the_saved_one(saved, contradiction):
    folder, policy = saved
    loaded = load_policy(folder)
    observation = contradiction.state[3], contradiction.environment_state[3]
    assert np.array_equal(loaded.act(*observation), policy.act(*observation))
    assert loaded.signature == policy.signature
    assert {path.name for path in folder.iterdir()} == {CONFIG, WEIGHTS}


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    assert "holds no policy" in refusal(tmp_path)


def test_a_checkpoint_of_an_estimator_is_refused(saved):
    folder, _ = saved
    (folder / CONFIG).write_text(json.dumps({"estimator": "sarm", "version": 1}))
    assert "needs 'behaviour-cloning' version 2" in refusal(folder)


def test_a_checkpoint_of_the_version_before_is_refused(saved):
    folder, _ = saved
    content = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(content | {"version": 1}))
    assert "train it again" in refusal(folder)


def test_weights_of_another_size_are_refused(saved):
    folder, _ = saved
    content = json.loads((folder / CONFIG).read_text())
    content["shape"]["signature"]["environment_state"].append("lid")
    (folder / CONFIG).write_text(json.dumps(content))
    assert "damaged" in refusal(folder)


def test_truncated_weights_are_refused(saved):
    folder, _ = saved
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    assert "damaged" in refusal(folder)


@pytest.mark.parametrize("content", ["", "[]", '{"policy": "behaviour-cloning", "version": 2}'])
def test_a_config_that_makes_no_sense_is_refused(saved, content):
    folder, _ = saved
    (folder / CONFIG).write_text(content)
    assert "damaged" in refusal(folder)
