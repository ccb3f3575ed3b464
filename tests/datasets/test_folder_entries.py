from hypothesis import given
from hypothesis import strategies as st

from headway_datasets.folder_entries import Mark, parse_stages

NAMES = st.text(st.characters(exclude_characters=";", exclude_categories=["C", "Z"]), min_size=1)


@given(st.lists(st.tuples(NAMES, st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())))
def test_any_stages_can_be_written_in_a_cell_and_read_back(stages):
    marks = tuple(
        Mark(name, start / 1000 if in_seconds else start, end / 1000 if in_seconds else end, in_seconds)
        for name, start, end, in_seconds in stages
    )
    unit = {True: "s", False: ""}
    cell = " ; ".join(
        f"{mark.name}:{mark.start}{unit[mark.in_seconds]} - {mark.end}{unit[mark.in_seconds]}" for mark in marks
    )
    assert parse_stages(cell) == marks


@given(st.text())
def test_any_other_cell_is_understood_or_refused_in_one_line(text):
    marks, message = (), "stage"
    try:
        marks = parse_stages(text)
    except ValueError as error:
        message = str(error)
    assert all(mark.name for mark in marks)
    assert message.startswith("stage")
    assert len(message.splitlines()) == 1
