"""The losses of our ACT and Diffusion against lerobot's own, and the table of weights."""

import copy

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import DatasetError, InvalidValue, Unsupported

pytest.importorskip("lerobot.policies")
pytest.importorskip("diffusers", reason="lerobot's Diffusion asks for it (lerobot[diffusion])")
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

from headway_policies.lerobot_policies.configuration_headway import HeadwayActConfig, HeadwayDiffusionConfig
from headway_policies.lerobot_policies.frame_weights import read_table
from headway_policies.lerobot_policies.modeling_headway import HeadwayActPolicy, HeadwayDiffusionPolicy

HORIZON, SAMPLES = 8, 5
CAMERAS = ("observation.images.top", "observation.images.wrist")
ACT = {"chunk_size": HORIZON, "n_action_steps": HORIZON, "dim_model": 16, "n_heads": 2, "dim_feedforward": 32}
ACT |= {"n_encoder_layers": 1, "n_vae_encoder_layers": 1, "latent_dim": 4, "optimizer_lr": 1e-3}
DIFFUSION = {"horizon": HORIZON, "n_action_steps": 4, "down_dims": (16, 32), "diffusion_step_embed_dim": 16}
DIFFUSION |= {"num_train_timesteps": 10, "use_group_norm": True}
KINDS = ["act", "diffusion"]
UNEQUAL = [0, 3, 7, 1, 5]


def make_policy(kind, cameras=(), **options):
    """A policy of ours with fresh parameters, the same each time, in training mode."""
    torch.manual_seed(0)
    inputs = {"observation.state": PolicyFeature(FeatureType.STATE, (2,))}
    inputs |= {"observation.environment_state": PolicyFeature(FeatureType.ENV, (2,))}
    inputs |= {key: PolicyFeature(FeatureType.VISUAL, (3, 32, 32)) for key in cameras}
    shared = {"input_features": inputs, "output_features": {"action": PolicyFeature(FeatureType.ACTION, (2,))}}
    shared |= {"device": "cpu", "pretrained_backbone_weights": None}
    if kind == "act":
        return HeadwayActPolicy(HeadwayActConfig(**shared | ACT | options)).train()
    return HeadwayDiffusionPolicy(HeadwayDiffusionConfig(**shared | DIFFUSION | options)).train()


def lerobots_own(policy):
    """lerobot's policy with the very same parameters."""
    own = (ACTPolicy if isinstance(policy, HeadwayActPolicy) else DiffusionPolicy)(policy.config)
    own.load_state_dict(policy.state_dict(), strict=True)
    return own.train(policy.training)


def make_batch(kind, pads=(0,) * SAMPLES, cameras=()):
    """Windows as lerobot's loader gives them; the last `pads[i]` actions of sample i are padding."""
    generator = torch.Generator().manual_seed(1)
    past = () if kind == "act" else (2,)
    batch = {key: torch.rand(SAMPLES, *past, 3, 32, 32, generator=generator) for key in cameras}
    for key in ("observation.state", "observation.environment_state"):
        batch[key] = torch.randn(SAMPLES, *past, 2, generator=generator)
    batch["action"] = torch.randn(SAMPLES, HORIZON, 2, generator=generator)
    batch["action_is_pad"] = torch.arange(HORIZON)[None] >= HORIZON - torch.tensor(pads)[:, None]
    return batch | {"index": torch.arange(SAMPLES)}


def seeded(function, *arguments, **options):
    """Dropout, noise levels and noise are drawn alike in every call."""
    torch.manual_seed(7)
    return function(*arguments, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_unweighted_it_is_lerobots_own_loss(kind):
    policy = make_policy(kind)
    batch = make_batch(kind, UNEQUAL)
    loss, _ = seeded(policy, batch)
    expected, _ = seeded(lerobots_own(policy), batch)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize(("pads", "cameras"), [(0, ()), (3, ()), (3, CAMERAS)], ids=["none", "some", "pictures"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_over_samples_with_equal_padding_is_lerobots_own_loss(kind, pads, cameras):
    options = {} if kind == "act" else {"do_mask_loss_for_padding": True}
    policy = make_policy(kind, cameras, **options)
    batch = make_batch(kind, (pads,) * SAMPLES, cameras)
    losses, _ = seeded(policy, batch, reduction="none")
    assert losses.shape == (SAMPLES,)
    torch.testing.assert_close(losses.mean(), seeded(lerobots_own(policy), batch)[0])


def test_acts_loss_of_a_sample_is_lerobots_loss_of_that_sample_alone():
    policy = make_policy("act").eval()  # without drawing a latent each sample is the same alone
    batch = make_batch("act", UNEQUAL)
    losses, _ = policy(batch, reduction="none")
    own = lerobots_own(policy)
    alone = [own({key: value[at : at + 1] for key, value in batch.items()})[0] for at in range(SAMPLES)]
    torch.testing.assert_close(losses, torch.stack(alone))
    assert abs(losses.mean() - own(batch)[0]) > 1e-3, "with unequal padding lerobot counts actions, not samples"


def test_acts_divergence_belongs_to_its_sample():
    policy = make_policy("act")
    losses, told = seeded(policy, make_batch("act"), reduction="none")
    plain, _ = seeded(make_policy("act", kl_weight=0.0), make_batch("act"), reduction="none")
    each = losses - plain
    torch.testing.assert_close(each.mean().item(), 10 * told["kld_loss"], rtol=1e-4, atol=1e-5)
    assert each.std() > 1e-4


@pytest.mark.parametrize("aim", ["epsilon", "sample"])
def test_diffusions_loss_of_a_sample_leaves_its_padding_out(aim):
    policy = make_policy("diffusion", prediction_type=aim)
    batch = make_batch("diffusion", UNEQUAL)
    predicted = []
    policy.diffusion.unet.register_forward_hook(lambda module, given, result: predicted.append(result))
    losses, _ = seeded(policy, batch, reduction="none")
    noise = seeded(torch.randn, SAMPLES, HORIZON, 2)
    target = noise if aim == "epsilon" else batch["action"]
    for at, pads in enumerate(UNEQUAL):
        real = slice(0, HORIZON - pads)
        expected = (predicted[0][at, real] - target[at, real]).square().mean()
        torch.testing.assert_close(losses[at], expected)


def gradients(policy, loss):
    policy.zero_grad()
    loss.backward(retain_graph=True)
    return {name: value.grad.clone() for name, value in policy.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_weights_gradients_as_by_hand(kind, table):
    weights = [0.25, 1.0, 0.0, np.nan, 0.5]
    policy = make_policy(kind, weights_path=table(weights), fallback_weight=0.1)
    batch = make_batch(kind, UNEQUAL)
    loss, told = seeded(policy, batch)
    found = gradients(policy, loss)
    losses, _ = seeded(policy.per_sample_loss, batch)
    each = [gradients(policy, one) for one in losses]
    by_hand = [0.25, 1.0, 0.0, 0.1, 0.5]
    for name, gradient in found.items():
        expected = sum(weight * one[name] for weight, one in zip(by_hand, each, strict=True)) / sum(by_hand)
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)
    assert told["weight_mean"] == pytest.approx(1.85 / 5)
    assert told["weight_effective_share"] == pytest.approx(1.85**2 / (5 * (0.0625 + 1 + 0.01 + 0.25)))
    assert told["weight_fallback_share"] == pytest.approx(0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_zeros_teaches_nothing(kind, table):
    policy = make_policy(kind, weights_path=table([0, 0, np.nan, 0, 0, 1]))
    loss, told = policy(make_batch(kind))
    assert float(loss.detach()) == 0
    found = gradients(policy, loss)
    assert found
    assert all((value == 0).all() for value in found.values())
    assert (told["weight_mean"], told["weight_effective_share"]) == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_each_sample_gets_the_weight_of_its_own_index(kind, table):
    policy = make_policy(kind, weights_path=table([0, 0, 0, 0, 0, 0, 1, 0]))
    batch = make_batch(kind, UNEQUAL) | {"index": torch.tensor([3, 0, 6, 7, 1])}
    loss, _ = seeded(policy, batch)
    losses, _ = seeded(policy.per_sample_loss, batch)
    torch.testing.assert_close(loss, losses[2])


@pytest.mark.parametrize("kind", KINDS)
def test_lerobots_weighting_on_top_of_a_table_is_refused(kind, table):
    policy = make_policy(kind, weights_path=table(np.ones(SAMPLES)))
    with pytest.raises(Unsupported, match=r"only one of --policy\.weights_path and --sample_weighting"):
        policy(make_batch(kind), reduction="none")
    with pytest.raises(InvalidValue, match="'mean' or 'none'"):
        policy(make_batch(kind), reduction="sum")


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_evaluation_is_lerobots_and_needs_no_table(kind, tmp_path):
    policy = make_policy(kind, weights_path=tmp_path / "lost.parquet").eval()
    batch = make_batch(kind, UNEQUAL)
    torch.testing.assert_close(seeded(policy, batch)[0], seeded(lerobots_own(policy), batch)[0])
    with pytest.raises(DatasetError, match="there is no table of weights"):
        policy.train()(batch)


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_are_no_part_of_a_checkpoint(kind, table):
    policy = make_policy(kind, weights_path=table(np.ones(SAMPLES)))
    policy(make_batch(kind))
    assert policy.state_dict().keys() == make_policy(kind).state_dict().keys()
    copy.deepcopy(policy)


def test_diffusion_tells_lerobots_rule_its_look_ahead():
    assert make_policy("diffusion").config.chunk_size == HORIZON
    assert make_policy("diffusion", look_ahead=30).config.chunk_size == 30
    for wrong in ({"look_ahead": 0}, {"fallback_weight": 1.5}, {"fallback_weight": float("nan")}):
        with pytest.raises(InvalidValue, match="needs"):
            make_policy("diffusion", **wrong)
    with pytest.raises(InvalidValue, match="needs"):
        make_policy("act", fallback_weight=-0.1)


@given(st.lists(st.none() | st.floats(0, 1, width=32), min_size=1, max_size=40), st.randoms())
@settings(max_examples=30)
def test_rows_may_come_in_any_order(tmp_path_factory, weights, random):
    path = tmp_path_factory.mktemp("table") / "weights.parquet"
    order = random.sample(range(len(weights)), len(weights))
    pq.write_table(pa.table({"weight": pa.array([weights[at] for at in order], pa.float32()), "index": order}), path)
    expected = [np.nan if weight is None else weight for weight in weights]
    np.testing.assert_array_equal(read_table(path, len(weights)), np.float32(expected))


def one_line(refusal):
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("weights", "index", "match"),
    [
        ([0, 1.25, 0.5], None, r"frame 1 the weight 1\.25"),
        ([0, 1, -0.5], None, r"frame 2 the weight -0\.5"),
        ([0, np.inf, 1], None, "frame 1 the weight inf"),
        ([0, 1, 1, 1], None, "has 1 frames that it lacks, such as frame 3"),
        ([0, 1], None, "lacks 1 of its frames, such as frame 2"),
        ([0, 1, 1], [0, 1, 1], "more than one weight for frame 1"),
        ([0, 1, 1], [1, 2, 3], "lacks 1 of its frames, such as frame 0"),
        ([0, 1, 1], [-1, 0, 1], "lacks 1 of its frames, such as frame 2"),
    ],
)
def test_a_table_of_another_dataset_or_scale_is_refused(table, weights, index, match):
    with pytest.raises((DatasetError, InvalidValue), match=match) as refusal:
        read_table(table(weights, index), 3)
    one_line(refusal)


def test_a_file_that_is_no_table_of_weights_is_refused(tmp_path):
    path = tmp_path / "weights.parquet"
    path.write_bytes(b"PAR1 and nothing behind it")
    with pytest.raises(DatasetError, match="no table of weights") as refusal:
        read_table(path, 3)
    one_line(refusal)
    for columns in ({"index": [0, 1]}, {"index": ["a"], "weight": [1.0]}, {"index": [0.0], "weight": [1.0]}):
        pq.write_table(pa.table(columns), path)
        with pytest.raises(DatasetError, match="the columns index and weight") as refusal:
            read_table(path, None)
        one_line(refusal)


def test_a_training_that_would_learn_nothing_is_refused(table):
    policy = make_policy("act", weights_path=table([0, np.nan, 0, 0, 0]))
    with pytest.raises(InvalidValue, match="nothing would be learnt"):
        policy(make_batch("act"))
    policy = make_policy("act", weights_path=table([0, np.nan, 0, 0, 0]), fallback_weight=0.5)
    assert policy(make_batch("act"))[1]["weight_mean"] == pytest.approx(0.1)


def test_a_batch_without_numbers_or_of_another_dataset_is_refused(table):
    policy = make_policy("act", weights_path=table(np.ones(3)))
    with pytest.raises(DatasetError, match="frames 0 to 2, the batch holds frame 4"):
        policy(make_batch("act"))
    batch = make_batch("act")
    del batch["index"]
    with pytest.raises(DatasetError, match="no 'index'"):
        policy(batch)
