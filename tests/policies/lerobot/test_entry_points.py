"""An estimator of somebody else's package gets a name by an entry point, as `lerobot` does."""

import pytest

from headway.errors import Unsupported
from headway.specs import make_estimator

CODE = """
from headway.controls import constant

def make(argument, device):
    return constant(float(argument))
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package as pip leaves it, with one estimator that works and one that does not."""
    (tmp_path / "somebodys_estimator.py").write_text(CODE)
    info = tmp_path / "somebody-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[headway.estimators]\nmine = somebodys_estimator:make\nbroken = somebodys_lost_module:make\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_its_spec_makes_it_with_the_argument(make_slider):
    (curve,) = make_estimator("mine:0.25").estimate([make_slider()])
    assert set(curve.values) == {0.25}


@pytest.mark.usefixtures("installed")
def test_one_that_cannot_be_imported_says_so_in_one_line():
    with pytest.raises(Unsupported, match=r"'broken' .somebodys_lost_module:make. cannot be imported") as refusal:
        make_estimator("broken:x")
    assert "\n" not in str(refusal.value)
