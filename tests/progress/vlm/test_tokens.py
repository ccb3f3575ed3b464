import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headway.vlm.chat import Picture, Question, Text
from headway.vlm.clip import encode
from headway.vlm.tokens import remark_on_cut, tokens_of


def test_text_and_pictures_are_added():
    picture = encode(np.zeros((224, 280, 3), np.uint8))
    assert tokens_of(Question((Text("abcd" * 25), picture))) == 25 + 8 * 10
    assert tokens_of(Question((Text("abcde"),))) == 2
    assert tokens_of(Question(())) == 0


def test_a_square_that_is_begun_counts():
    assert tokens_of(Question((Picture(b"", 29, 28),))) == 2
    assert tokens_of(Question((Picture(b"", 29, 29),))) == 4


@given(st.lists(st.one_of(st.text(), st.tuples(st.integers(1, 500), st.integers(1, 500)))))
def test_an_estimate_for_the_whole_is_at_most_a_token_a_text_from_that_of_its_parts(parts):
    made = [Text(part) if isinstance(part, str) else Picture(b"", *part) for part in parts]
    apart = sum(tokens_of(Question((part,))) for part in made)
    texts = sum(isinstance(part, str) for part in parts)
    assert apart - texts <= tokens_of(Question(tuple(made))) <= apart


def test_only_a_long_prompt_of_which_little_was_counted_is_remarked_on():
    long = Question((*[Picture(b"", 280, 280)] * 40, Text("a" * 8000)))
    assert remark_on_cut(long, 1999) is not None
    # 0: the server does not count; and the text is not what is missing
    assert [remark_on_cut(long, counted) for counted in (0, 2000, 4000, 6000)] == [None] * 4
    assert remark_on_cut(Question((Picture(b"", 280, 280),)), 1) is None
    assert remark_on_cut(Question((Text("a" * 90000),)), 1) is None
