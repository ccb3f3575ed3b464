import pytest
import torch

from headway_policies.network import CloningNetwork, CloningShape, see, shift
from headway_policies.signature import Signature

HAND = ("hand.x", "hand.y", "hand.z")
STATE = torch.tensor([[0.5, 0.7, 0.04, 1.0, 2.0, 3.0]])
THINGS = torch.tensor([[11.0, 22.0, 33.0, -1.0, -2.0, -3.0, 0.1]])


def test_places_are_seen_from_the_hand_wherever_the_state_has_it(jointed):
    seen = see(STATE, THINGS, jointed)[0].tolist()
    assert seen == pytest.approx([*STATE[0].tolist(), *THINGS[0].tolist(), 10, 20, 30, -2, -4, -6])


def test_without_any_place_state_and_environment_state_are_all():
    signature = Signature(("elbow.pos", "wrist.pos", "opening", *HAND), ("button", "count"), ("grip",))
    assert torch.equal(see(STATE, THINGS[:, :2], signature), torch.cat([STATE, THINGS[:, :2]], dim=1))


def test_only_targets_of_what_is_sensed_become_relative(jointed):
    chunks = torch.tensor([[[0.6, 0.5, -1.0], [0.7, 0.3, 1.0]]])
    relative = shift(chunks, STATE, jointed, -1)
    assert relative.flatten().tolist() == pytest.approx([0.1, -0.2, -1.0, 0.2, -0.4, 1.0])
    assert torch.allclose(shift(relative, STATE, jointed, 1), chunks)


def test_an_untrained_network_answers_near_what_is_sensed_with_statistics_of_the_frames(jointed):
    torch.manual_seed(0)
    network = CloningNetwork(CloningShape(jointed, chunk=3, width=16, blocks=1))
    state = STATE + torch.randn(50, 6)
    chunks = torch.cat([state[:, None, :2].expand(50, 3, 2) + 0.01, torch.ones(50, 3, 1)], dim=2)
    network.fit_statistics(state, THINGS.expand(50, 7), chunks, torch.ones(50, 3, dtype=torch.bool))
    answer = network(state, THINGS.expand(50, 7))
    assert answer.shape == (50, 3, 3)
    # the joints vary by radians, their targets as seen from them hardly at all
    assert (answer - chunks).abs().max() < 0.01
