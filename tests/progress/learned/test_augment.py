"""How many episodes a training shows as they were recorded."""

import numpy as np
import pytest
import torch

from headway.errors import InvalidValue
from headway.learned.augment import augment
from headway.learned.method import TrainingConfig


@pytest.fixture
def pictures():
    return torch.as_tensor(np.random.default_rng(0).integers(0, 255, (3, 1, 16, 16, 3), dtype=np.uint8))


@pytest.mark.parametrize("plain", [0.0, 0.5, 1.0])
def test_that_share_of_the_draws_is_left_as_it_was(pictures, plain):
    rng = np.random.default_rng(1)
    untouched = [torch.equal(augment(pictures, rng, plain), pictures.float()) for _ in range(60)]
    assert np.mean(untouched) == pytest.approx(plain, abs=0.15)


def test_a_share_beyond_all_is_refused():
    with pytest.raises(InvalidValue, match=r"plain is a share of the episodes, from 0 to 1, got 1\.5"):
        TrainingConfig(plain=1.5)
