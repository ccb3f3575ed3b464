import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway.signals.expression import Unknown, parse

SCHEMA = pa.schema(
    [
        ("success", pa.float64()),
        ("drawdown", pa.float64()),
        ("length", pa.int64()),
        ("kind", pa.string()),
        ("in_sample", pa.bool_()),
        ("marks", pa.list_(pa.int64())),
    ]
)
ROW = {"success": 0.7, "drawdown": 0.1, "length": 40, "kind": "expert", "in_sample": False}


def holds(text, **changes):
    return parse(text, SCHEMA).holds(ROW | changes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("success>0.5 and drawdown<0.3", True),
        ("success > .8 or not in_sample", True),
        ("0.5 < success <= 0.7", True),
        ("0.5 < success < 0.7", False),
        ("0.1 < success > 0.5", True),
        ("kind == 'expert'", True),
        ('kind in ("drop", "expert")', True),
        ("kind not in ['drop']", True),
        ("'pert' in kind", True),
        ("kind != 'drop' != 'expert'", True),
        ("length / 20 - 1 >= 1", True),
        ("-(drawdown) < +1", True),
        ("(length + 2) * 2 == 84", True),
        ("in_sample == False", True),
        ("\n success\n > 0.5", True),
        ("True", True),
        ("success is not None", True),
    ],
)
def test_a_condition_means_what_it_says(text, expected):
    assert holds(text) is expected


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_missing_value_is_neither_true_nor_false(missing):
    for text in ("success > 0.5", "success <= 0.5", "not success > 0.5", "not (success > 0.5 and length > 1)"):
        assert holds(text, success=missing) == Unknown(("success is missing",))
    assert str(holds("success > 0 and drawdown < 1", success=missing)) == "unknown: success is missing"


def test_what_is_missing_does_not_matter_where_the_rest_decides():
    assert holds("success > 0.5 and length < 10", success=None) is False
    assert holds("success > 0.5 or length > 10", success=None) is True


@pytest.mark.parametrize(("text", "expected"), [("success == None", True), ("success is not None", False)])
def test_one_can_ask_whether_a_value_is_missing(text, expected):
    assert holds(text, success=None) is expected
    assert holds(text) is not expected


def test_a_division_by_zero_is_unknown():
    assert holds("length / drawdown > 1", drawdown=0.0) == Unknown(("length / drawdown divides by zero",))


def test_an_unknown_column_is_named_with_the_nearest():
    with pytest.raises(InvalidValue, match=r"letter 16, 'sucess': there is no such column.*nearest: success"):
        parse("length > 3 and sucess > 0.5", SCHEMA)


def test_the_place_is_counted_in_letters():
    with pytest.raises(InvalidValue, match="letter 17, 'abs\\(success\\)'"):
        parse("kind == 'ä' and abs(success) > 1", SCHEMA)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("success", "this is a number; compare it"),
        ("success and drawdown < 1", "'success': this is a number, and and, or need a truth value"),
        ("kind > 3", "'3': a text is compared with a number"),
        ("in_sample + 1 > 1", "'in_sample': this is a truth value, and \\+ - \\* / need a number"),
        ("in_sample < True", "truth values are compared with == and != alone"),
        ("success > None", "None can only be asked for with"),
        ("length is 3", "`is` goes with None alone"),
        ("kind in ('a', 3)", "'3': beside `in` stand constants"),
        ("kind in ('a', length)", "'length': beside `in`"),
        ("success in length", "`in` needs a text"),
        ("marks == None", "no such column"),
        ("success >", "cannot be read at letter 10, at its end"),
        ("success = 1", "cannot be read"),
        ("", "empty"),
        ("   ", "empty"),
    ],
)
def test_what_makes_no_sense_is_one_line_that_points_at_it(text, words):
    with pytest.raises(InvalidValue, match=words) as error:
        parse(text, SCHEMA)
    assert "\n" not in str(error.value)


def refusal(text):
    """Why it is not read; empty where it is."""
    try:
        parse(text, SCHEMA).holds(ROW)
    except InvalidValue as error:
        return str(error)
    return ""


ATTACKS = [
    "__import__('os').system('true')",
    "().__class__.__bases__[0]",
    "success.__class__ == 1",
    "kind.upper() == 'A'",
    "(lambda: 1)() == 1",
    "lambda: True",
    "[x for x in (1,)] == 1",
    "{x: 1 for x in (1,)} == 1",
    "f'{success}' == 'a'",
    "f'{__import__(\"os\")}' == 'a'",
    "(success := 1) > 0",
    "9**9**9**9 > 1",
    "length ** 2 > 1",
    "1 << 9999999 > 1",
    "length % 2 == 0",
    "length // 2 == 0",
    "kind * 3 == 'a'",
    "'a' * 999999999 == kind",
    "'%s' % length == kind",
    "~length > 1",
    "success if in_sample else drawdown > 1",
    "{'a': 1}['a'] == 1",
    "kind[0] == 'e'",
    "1j == success",
    "b'a' == kind",
    "... == success",
    "*success, 1",
    "await success",
    "yield success",
    "success; import os",
    "import os",
    "print(1) or success > 0",
    "open('/etc/passwd') == 1",
    "1e999 > success",
    "9" * 400 + " > success",
    "9" * 1999,
    "(" * 900 + "success" + ")" * 900 + " > 1",
    "not " * 450 + "in_sample",
    "-" * 1900 + "1 > 0",
    "1" + "+1" * 900 + " > 0",
    "in_sample and (" * 120 + "in_sample" + ")" * 120,
    "success > 0 and " * 1000 + "True",
    "success\x00 > 1",
    "success > 1 \\",
    "'unclosed",
    "# nothing",
    "kind == 'a' 'b' + 'c'",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_nothing_but_the_grammar_is_ever_read(text, monkeypatch):
    for name in ("system", "popen"):
        monkeypatch.setattr(f"os.{name}", lambda *_: pytest.fail("it was run"))
    words = refusal(text)
    assert 0 < len(words) < 400
    assert "\n" not in words


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text):
    assert "\n" not in refusal(text)


NUMBERS = ("success", "drawdown", "length")
numbers = st.recursive(
    st.sampled_from(NUMBERS) | st.integers(0, 9).map(str) | st.sampled_from(["0.5", "1e-1", "2.5"]),
    lambda part: st.one_of(
        st.tuples(part, st.sampled_from("+-*/"), part).map(lambda each: f"({each[0]} {each[1]} {each[2]})"),
        part.map(lambda each: f"-{each}"),
    ),
    max_leaves=4,
)
texts = st.sampled_from(["kind", "'expert'", "'drop'", "''"])
signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
comparisons = st.one_of(
    st.tuples(numbers, signs, numbers).map(" ".join),
    st.tuples(numbers, signs, numbers, signs, numbers).map(" ".join),
    st.tuples(texts, signs, texts).map(" ".join),
    st.tuples(texts, st.sampled_from(["in", "not in"]), texts).map(" ".join),
    st.tuples(texts, st.just("in ('expert', 'drop')")).map(" ".join),
    st.sampled_from(["in_sample", "True", "False", "in_sample == True"]),
)
conditions = st.recursive(
    comparisons,
    lambda part: st.one_of(
        st.tuples(part, st.sampled_from(["and", "or"]), part).map(lambda each: f"({' '.join(each)})"),
        st.tuples(part, st.sampled_from(["and", "or"]), part).map(" ".join),
        part.map(lambda each: f"not ({each})"),
    ),
    max_leaves=6,
)
few = st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0])
rows = st.fixed_dictionaries(
    {
        "success": few,
        "drawdown": few,
        "length": st.integers(0, 9),
        "kind": st.sampled_from(["expert", "drop", ""]),
        "in_sample": st.booleans(),
    }
)


def by_python(text, row):
    """What Python makes of it; None where it divides by zero."""
    try:
        return eval(text, {"__builtins__": {}}, dict(row))  # noqa: S307
    except ZeroDivisionError:
        return None


@settings(max_examples=300)
@given(conditions, rows)
def test_where_nothing_is_missing_it_is_pythons_own_meaning(text, row):
    ours, python = parse(text, SCHEMA).holds(row), by_python(text, row)
    if isinstance(ours, Unknown):
        assert "divides by zero" in str(ours)
    elif python is not None:
        assert ours is python


@settings(max_examples=300)
@given(conditions, rows, st.sets(st.sampled_from(sorted(ROW))), rows)
def test_what_is_said_without_a_value_holds_whatever_the_value_is(text, row, missing, others):
    said = parse(text, SCHEMA).holds(row | dict.fromkeys(missing))
    if isinstance(said, Unknown):
        return
    for values in (row, others):
        filled = row | {name: values[name] for name in missing}
        assert by_python(text, filled) in (said, None)
