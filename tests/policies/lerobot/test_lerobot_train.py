"""lerobot-train, lerobot's own command, trains our SARM: from nothing, on after a cut, and from a run of ours."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from headway.learned.checkpoint import load_learned
from headway.specs import make_estimator

pytest.importorskip("lerobot.rewards")
pytest.importorskip("accelerate", reason="lerobot-train asks for it (lerobot[training])")

from headway_policies.lerobot_plugin.transfer import import_from_lerobot

PLUGIN = "discover_packages_path=headway_policies.lerobot_plugin"
# importing lerobot's training takes longer than these runs, so one process makes all of them
ALL = """
import json, sys
from lerobot.scripts.lerobot_train import main
for line in json.loads(sys.argv[1]):
    sys.argv = ["lerobot-train", *line]
    main()
"""


@pytest.fixture(scope="module")
def out(root, run, tmp_path_factory):
    """The folder with the results of three commands."""
    out = tmp_path_factory.mktemp("lerobot-train")
    data = ["--dataset.repo_id=local/slider", f"--dataset.root={root}", "--dataset.video_backend=pyav"]
    short = ["--batch_size=4", "--log_freq=1", "--num_workers=0"]
    fresh = ["--reward_model.type=headway_sarm", f"--reward_model.{PLUGIN}", "--reward_model.fps=10"]
    tiny = ["--reward_model.image_size=32", "--reward_model.device=cpu", f"--output_dir={out / 'fresh'}", "--steps=3"]
    last = out / "fresh/checkpoints/last/pretrained_model"
    resumed = [f"--reward_model.{PLUGIN}", f"--config_path={last / 'train_config.json'}", "--resume=true", "--steps=5"]
    tuned = ["--reward_model.type=headway_sarm", f"--reward_model.{PLUGIN}", "--reward_model.fps=10", "--steps=2"]
    tuned += [f"--reward_model.pretrained_path={run}", "--reward_model.device=cpu", f"--output_dir={out / 'tuned'}"]
    # with --reward_model.path lerobot takes all other --reward_model.* for fields: the plug-in goes without the prefix
    by_path = [f"--reward_model.path={last}", f"--{PLUGIN}", f"--output_dir={out / 'by-path'}", "--steps=1"]
    lines = [fresh + tiny + data + short, resumed, tuned + data + short, by_path + data + short]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", ALL, json.dumps(lines)], cwd=out, env=environment, capture_output=True, text=True
    )
    (out / "log").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def weights(folder, step):
    return load_file(folder / f"checkpoints/{step:06d}/pretrained_model/model.safetensors")


def test_it_trains_and_its_result_is_an_estimator(out, source, tmp_path, curve_of):
    spec = import_from_lerobot(out / "fresh/checkpoints/000003/pretrained_model", tmp_path / "run")
    curve = curve_of(make_estimator(spec), source.episode(0))
    assert curve.stage_names == ("right", "down")
    assert curve.in_sample
    method = load_learned("sarm", tmp_path / "run").method
    assert (method.inputs.cameras, method.inputs.image_size, method.rewind) == (("top",), 32, 0.4)


def test_both_terms_of_the_loss_are_told(out):
    log = (out / "log").read_text()
    assert log.count("stage_loss:") == log.count("within_loss:") == 3 + 2 + 2 + 1


def test_a_run_goes_on_where_it_was_cut(out):
    before, after = weights(out / "fresh", 3), weights(out / "fresh", 5)
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(changed) > len(before) / 2
    steps = max(float((before[name] - after[name]).abs().max()) for name in changed)
    assert steps < 0.02, "two steps of AdamW at 1e-3 away, not drawn anew"


def test_a_run_of_ours_is_trained_further(out, run):
    (member,) = load_learned("sarm", run).members
    after = weights(out / "tuned", 2)
    before = member.network.state_dict()
    assert 0 < max(float((before[name] - after[f"network.{name}"]).abs().max()) for name in before) < 0.02
