"""Trained estimators on disk."""

import json

import numpy as np
import pytest
import torch

from headway.errors import CheckpointError
from headway.learned.checkpoint import load_learned, save_learned
from headway.specs import make_estimator


def test_saving_and_loading_keeps_every_number(sarm, unseen, tmp_path, one):
    save_learned(tmp_path / "run", sarm.method, sarm.members, ["fingerprint"])
    loaded = make_estimator(f"sarm:{tmp_path / 'run'}")
    np.testing.assert_array_equal(one(loaded, unseen[0]).values, one(sarm, unseen[0]).values)
    np.testing.assert_array_equal(one(loaded, unseen[0]).success, one(sarm, unseen[0]).success)
    assert loaded.fingerprint == make_estimator(f"sarm:{tmp_path / 'run'}").fingerprint
    assert not [path for path in (tmp_path / "run").iterdir() if path.suffix not in (".json", ".safetensors")]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["datasets"] == ["fingerprint"]


def test_other_weights_have_another_fingerprint(sarm, tmp_path):
    save_learned(tmp_path / "a", sarm.method, sarm.members)
    with torch.no_grad():
        changed = sarm.members[0].network.sparse.stage.bias
        changed += 1
        save_learned(tmp_path / "b", sarm.method, sarm.members)
        changed -= 1
    assert load_learned("sarm", tmp_path / "a").fingerprint != load_learned("sarm", tmp_path / "b").fingerprint


def test_damaged_checkpoints_are_one_clear_line(sarm, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(CheckpointError, match="holds no sarm; train one with: headway train sarm"):
        load_learned("sarm", run)
    save_learned(run, sarm.method, sarm.members)
    weights = run / "member-0.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="is damaged"):
        load_learned("sarm", run)
    weights.unlink()
    with pytest.raises(CheckpointError, match="is damaged"):
        load_learned("sarm", run)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "estimator": "pixels"}))
    with pytest.raises(CheckpointError, match="is a checkpoint of 'pixels'"):
        load_learned("sarm", run)
    (run / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="is damaged"):
        load_learned("sarm", run)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("inputs", "gap_seconds", 0),
        ("inputs", "history", 3),
        ("inputs", "image_size", 48),
        ("inputs", "cameras", []),
        ("inputs", "use_state", True),
        ("inputs", "encoder", "no/such-model"),
        ("training", "epochs", 0),
        ("trunk", "width", 129),
        ("trunk", "heads", 3),
        ("method", "name", "other"),
        ("sizes", "feature", [32, 32]),
        ("scale", "names", ["right"]),
        ("scale", "proportions", [5, 5]),
        ("scale", "seconds", ["a", "b"]),
        ("member", "trained_on", None),
        ("member", "calibration", {"progress": {"x": [1, 0], "y": [0, 1]}}),
        ("config", "members", []),
    ],
)
def test_a_checkpoint_whose_parts_contradict_each_other_is_refused_in_one_line(sarm, tmp_path, part, key, value):
    save_learned(tmp_path, sarm.method, sarm.members)
    config = json.loads((tmp_path / "config.json").read_text())
    member, method = config["members"][0], config["method"]
    places = {"config": config, "member": member, "method": method, "sizes": member["sizes"]}
    places |= {name: method[name] for name in ("inputs", "training", "trunk")}
    places["scale"] = member["knowledge"]["scales"]["tasks"][0]
    places[part][key] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        load_learned("sarm", tmp_path)
    assert "\n" not in str(caught.value)
