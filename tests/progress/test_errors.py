import pickle

from headway.errors import UnknownName


def test_an_unknown_name_lists_what_there_is_in_order():
    assert str(UnknownName("camera", "wirst", ["wrist", "front"])) == (
        "unknown camera 'wirst'; available: front, wrist"
    )
    assert str(UnknownName("camera", "x", [], "Open it again")) == "unknown camera 'x'; available: none. Open it again"


def test_an_unknown_name_survives_the_way_between_processes():
    error = UnknownName("camera", "wirst", iter(["wrist", "front"]), "hint")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301
