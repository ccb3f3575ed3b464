"""Folding CLIP's activation changes nothing but rounding, and touches nothing else."""

import copy

import pytest
import torch
import transformers

from headway.encoders.quick_gelu import SiluInPlace, fold_quick_gelu


def tower(activation):
    config = transformers.CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=16
    )
    config.hidden_act = activation
    torch.manual_seed(0)
    network = transformers.CLIPVisionModel(config).eval().requires_grad_(False)
    # transformers draws no biases
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.normal_()
    return network


def test_a_folded_tower_gives_what_it_gave():
    whole = tower("quick_gelu")
    folded = copy.deepcopy(whole)
    fold_quick_gelu(folded)
    assert sum(isinstance(module, SiluInPlace) for module in folded.modules()) == 2
    pictures = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        expected, found = whole(pictures).last_hidden_state, folded(pictures).last_hidden_state
    assert found.numpy() == pytest.approx(expected.numpy(), rel=1e-4, abs=1e-5)


def test_other_activations_stay_as_they_are():
    network = tower("gelu")
    before = copy.deepcopy(network.state_dict())
    fold_quick_gelu(network)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(isinstance(module, SiluInPlace) for module in network.modules())
