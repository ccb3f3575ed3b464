"""lerobot-train, lerobot's own command, trains our ACT and Diffusion under weights: its own rule's, and a table's."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from headway.errors import CheckpointError, OutputError
from headway.signals.weights import gains, rabc, write_weights

pytest.importorskip("lerobot.policies")
pytest.importorskip("accelerate", reason="lerobot-train asks for it (lerobot[training])")
pytest.importorskip("diffusers", reason="lerobot's Diffusion asks for it (lerobot[diffusion])")

from headway_policies.lerobot_policies.transfer import export_to_lerobot

PLUGIN = "--policy.discover_packages_path=headway_policies.lerobot_policies"
INPUTS = {"observation.state": {"type": "STATE", "shape": [2]}}
INPUTS |= {"observation.environment_state": {"type": "ENV", "shape": [2]}}
COMMON = [f"--policy.input_features={json.dumps(INPUTS)}", "--policy.device=cpu", "--policy.push_to_hub=false"]
ACT = [
    "--policy.type=headway_act",
    PLUGIN,
    "--policy.chunk_size=8",
    "--policy.n_action_steps=8",
    "--policy.dim_model=16",
]
ACT += ["--policy.n_heads=2", "--policy.dim_feedforward=32", "--policy.n_encoder_layers=1"]
ACT += ["--policy.n_vae_encoder_layers=1", "--policy.latent_dim=4", "--policy.optimizer_lr=1e-3", *COMMON]
DIFFUSION = ["--policy.type=headway_diffusion", PLUGIN, "--policy.horizon=8", "--policy.n_action_steps=4"]
DIFFUSION += ["--policy.down_dims=[16,32]", "--policy.num_train_timesteps=10", "--policy.diffusion_step_embed_dim=16"]
DIFFUSION += ["--policy.scheduler_warmup_steps=1", *COMMON]
RABC = ["--sample_weighting.type=rabc", '--sample_weighting.extra_params={"fallback_weight": 0.0}']
STEPS = 4
# importing lerobot's training takes longer than these runs, so one process makes all of them
ALL = """
import json, sys
import torch
from lerobot.scripts.lerobot_train import main
torch.set_num_threads(1)
refusals = {}
for name, line in json.loads(sys.argv[1]).items():
    print("RUN", name, file=sys.stderr)
    sys.argv = ["lerobot-train", *line]
    try:
        main()
    except Exception as error:
        refusals[name] = f"{type(error).__name__}: {error}"
with open("refusals.json", "w") as file:
    json.dump(refusals, file)
"""


def corrupted(root, keep, folder):
    """The dataset with other actions everywhere but in one episode; its statistics stay, as they set the scale."""
    shutil.copytree(root, folder)
    (path,) = folder.glob("data/*/*.parquet")
    rows = pq.read_table(path)
    actions = np.array(rows["action"].to_pylist(), np.float32)
    others = rows["episode_index"].to_numpy() != keep
    actions[others] = 3 - actions[others]
    column = pa.array(list(actions), rows.schema.field("action").type)
    pq.write_table(rows.set_column(rows.schema.get_field_index("action"), "action", column), path)
    return folder


def on(root):
    data = ["--dataset.repo_id=local/slider", f"--dataset.root={root}", "--dataset.video_backend=pyav"]
    return [*data, "--batch_size=8", "--log_freq=1", "--num_workers=0", f"--steps={STEPS}"]


@pytest.fixture(scope="module")
def out(root, episodes, tmp_path_factory):
    """The folder with the results of all commands; the tables are gone by then."""
    out = tmp_path_factory.mktemp("lerobot-train")
    episode = np.repeat(range(len(episodes)), [len(given) for given in episodes])
    progress = np.concatenate([given.truth.progress for given in episodes])
    progress[5:9] = np.nan
    frames = {"index": np.arange(len(progress)), "episode_index": episode, "progress_sparse": np.float32(progress)}
    pq.write_table(pa.table(frames), out / "frames.parquet")
    tables = {"rabc": rabc(gains(progress, episode, 8)), "one": np.float64(episode == 1), "short": np.ones(7)}
    for name, weights in tables.items():
        write_weights(out / f"{name}.parquet", np.arange(len(weights)), weights)
    by_rule = [*RABC, f"--sample_weighting.progress_path={out / 'frames.parquet'}"]
    other = corrupted(root, 1, out / "corrupted")
    table = {name: f"--policy.weights_path={out / name}.parquet" for name in tables}
    # nothing is drawn: lerobot goes on with the same frames, but its loader draws once more from the restored generator
    still = ["--policy.use_vae=false", "--policy.dropout=0", "--save_freq=2"]
    middle = out / "through/checkpoints/000002/pretrained_model/train_config.json"
    lines = {
        "act-rabc": [*ACT, *by_rule, *on(root)],
        "act-table": [*ACT, table["rabc"], *on(root)],
        "through": [*ACT, *still, table["rabc"], *on(root)],
        "act-one": [*ACT, table["one"], *on(root)],
        "act-one-corrupted": [*ACT, table["one"], *on(other)],
        "diffusion-rabc": [*DIFFUSION, *by_rule, "--policy.look_ahead=5", *on(root)],
        "diffusion-one": [*DIFFUSION, table["one"], *on(root)],
        "diffusion-one-corrupted": [*DIFFUSION, table["one"], *on(other)],
        "twice": [*ACT, *by_rule, table["rabc"], *on(root)],
        "short": [*DIFFUSION, table["short"], *on(root)],
    }
    lines = {name: [*line, f"--output_dir={out / name}"] for name, line in lines.items()}
    lines["resumed"] = [PLUGIN, f"--config_path={middle}", "--resume=true", f"--output_dir={out / 'resumed'}"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", ALL, json.dumps(lines)], cwd=out, env=environment, capture_output=True, text=True
    )
    (out / "log").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in tables:
        (out / f"{name}.parquet").unlink()
    return out


def checkpoint(out, name, step=STEPS):
    return out / f"{name}/checkpoints/{step:06d}/pretrained_model"


def parameters(out, name, step=STEPS):
    return load_file(checkpoint(out, name, step) / "model.safetensors")


def log_of(out, name):
    return (out / "log").read_text().partition(f"RUN {name}\n")[2].partition("\nRUN ")[0]


def refusals(out):
    return json.loads((out / "refusals.json").read_text())


def test_only_what_should_be_refused_is(out):
    assert refusals(out).keys() == {"twice", "short"}


def test_a_table_and_lerobots_weighting_together_are_refused(out):
    assert "give only one of --policy.weights_path and --sample_weighting.type" in refusals(out)["twice"]


def test_the_table_of_another_dataset_is_refused(out, episodes):
    frames = sum(len(episode) for episode in episodes)
    assert f"short.parquet belongs to another dataset: it lacks {frames - 7} of its frames" in refusals(out)["short"]


@pytest.mark.parametrize("name", ["act-rabc", "diffusion-rabc"])
def test_lerobots_own_rule_weights_both(out, name):
    log = log_of(out, name)
    assert log.count(" sample_weight_mean_weight:") == STEPS
    look_ahead = {"act-rabc": 8, "diffusion-rabc": 5}[name]
    assert f"Chunk size for delta computation: {look_ahead}\n" in log


def logged(out, name, key):
    return [float(part.split()[0]) for part in log_of(out, name).split(f" {key}:")[1:]]


def test_a_table_of_rabc_teaches_what_lerobots_rule_teaches(out):
    by_rule, by_table = (parameters(out, name) for name in ("act-rabc", "act-table"))
    # the gradient of attention's key bias is rounding alone, which AdamW turns into steps
    taught = [name for name in by_rule if not name.endswith("in_proj_bias")]
    for name in taught:
        torch.testing.assert_close(by_table[name], by_rule[name], rtol=0, atol=1e-6)
    other = parameters(out, "act-one")
    assert max(float((other[name] - by_rule[name]).abs().max()) for name in taught) > 1e-3
    means = logged(out, "act-table", "weight_mean")
    assert means == logged(out, "act-rabc", "sample_weight_mean_weight")
    assert len(means) == STEPS
    assert 0 < min(means) < 1
    assert max(logged(out, "act-table", "weight_fallback_share")) > 0


@pytest.mark.parametrize(("kind", "error"), [("act", "l1_loss"), ("diffusion", "mse_loss")])
def test_frames_of_weight_zero_teach_nothing(out, kind, error):
    weighted, corrupted = (parameters(out, f"{kind}-one{suffix}") for suffix in ("", "-corrupted"))
    assert all(torch.equal(value, corrupted[name]) for name, value in weighted.items())
    shares = logged(out, f"{kind}-one", "weight_effective_share")
    assert len(shares) == STEPS
    assert max(shares) > 0, "no batch held a frame to learn from"
    unweighted = [logged(out, f"{kind}-one{suffix}", error) for suffix in ("", "-corrupted")]
    assert unweighted[0] != unweighted[1], "the other frames must be wrong enough to teach, had they a weight"


def test_a_run_goes_on_with_its_table_as_if_never_cut(out):
    through, resumed = parameters(out, "through"), parameters(out, "resumed")
    assert all(torch.equal(value, resumed[name]) for name, value in through.items())
    assert logged(out, "through", "weight_mean")[2:] == logged(out, "resumed", "weight_mean")


@pytest.mark.parametrize("kind", ["act", "diffusion"])
def test_a_checkpoint_acts_without_the_table_and_so_does_lerobots_own_type(out, kind, tmp_path):
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    trained = checkpoint(out, f"{kind}-one")
    export_to_lerobot(trained, tmp_path / "own")
    actions = []
    for folder in (trained, tmp_path / "own"):
        config = PreTrainedConfig.from_pretrained(folder)
        policy = get_policy_class(config.type).from_pretrained(folder, config=config, strict=True)
        before, after = make_pre_post_processors(config, pretrained_path=str(folder))
        torch.manual_seed(0)
        seen = {key: torch.full((2,), 0.3) for key in INPUTS}
        actions.append(after(policy.select_action(before(seen))))
    assert config.type == kind
    assert actions[0].shape == (1, 2)
    assert actions[0].isfinite().all()
    torch.testing.assert_close(actions[0], actions[1], rtol=0, atol=0)


def test_only_our_checkpoints_are_exported_and_nothing_is_replaced(out, tmp_path):
    with pytest.raises(OutputError, match="not empty"):
        export_to_lerobot(checkpoint(out, "act-one"), checkpoint(out, "act-one-corrupted"))
    export_to_lerobot(checkpoint(out, "act-one"), tmp_path / "own")
    assert "headway" not in "".join(path.read_text() for path in (tmp_path / "own").glob("*.json"))
    for folder in (tmp_path / "own", tmp_path / "none"):
        with pytest.raises(CheckpointError, match="holds no headway_act or headway_diffusion"):
            export_to_lerobot(folder, tmp_path / "again")
