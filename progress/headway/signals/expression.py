"""Conditions on the columns of a table, as people write them: `success > 0.5 and drawdown < 0.3`.

Python's own grammar, read with `ast` and walked over a short list of node types; nothing is ever evaluated by Python.
Comparisons (also chained, `in` and `not in`), `and`, `or`, `not`, `+ - * /`, parentheses, numbers, texts in quotes,
True, False, and None for a value that is missing.

A missing value makes a comparison neither true nor false: unknown. Unknown goes on as in Kleene's logic, `False and
unknown` being False and `True or unknown` True, so that `not` does not turn ignorance into knowledge. Only `== None`,
`!= None`, `is None` and `is not None` ask whether a value is missing.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pyarrow as pa

from headway.errors import InvalidValue

LONGEST = 2000
DEEPEST = 50
NEAREST = 3

NUMBER, TEXT, TRUTH, NONE = "a number", "a text", "a truth value", "None"

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, among: value in among,
    ast.NotIn: lambda value, among: value not in among,
}
ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
ALLOWED = "comparisons, and, or, not, + - * /, parentheses, numbers, texts, True, False and None are allowed"


@dataclass(frozen=True)
class Unknown:
    """Neither true nor false, and why: what is missing, in words."""

    why: tuple[str, ...]

    def __str__(self) -> str:
        return f"unknown: {', '.join(self.why)}"


@dataclass(frozen=True, repr=False)
class Expression:
    """A condition that was read and fits the table's columns.

    Attributes:
        text: as it was given.
        columns: the columns that it names, in order of appearance.
    """

    text: str
    columns: tuple[str, ...]
    _tree: ast.expr

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def holds(self, row: Mapping[str, Any]) -> bool | Unknown:
        """Whether it holds for one row (column -> value; None or NaN is missing), or Unknown with what is missing."""
        value = _value(self._tree, row)
        return value if isinstance(value, Unknown) else bool(value)


def parse(text: str, schema: pa.Schema) -> Expression:
    """Read a condition on the columns of a table.

    Raises InvalidValue, in one line that says where, for anything but the allowed grammar, a column that the table
    lacks (with the nearest names), and types that do not go together.
    """
    reader = _Reader(text, {field.name: kind for field in schema if (kind := _kind(field.type))})
    tree = reader.parsed()
    found = reader.kind_of(tree)
    if found != TRUTH:
        raise reader.error(tree, f"this is {found}; compare it, such as success > 0.5")
    names = dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return Expression(text, tuple(names), tree)


class _Reader:
    """Reads one text and says of each part what it gives; the methods raise InvalidValue that points at the place."""

    def __init__(self, text: str, kinds: Mapping[str, str]):
        self._text = text.strip().replace("\n", " ").replace("\r", " ")
        self._kinds = kinds

    def parsed(self) -> ast.expr:
        if not self._text:
            raise InvalidValue("the expression is empty; give one such as success > 0.5")
        if len(self._text) > LONGEST:
            raise InvalidValue(f"the expression has {len(self._text)} letters; at most {LONGEST} are read")
        try:
            # Python warns of odd texts such as "\\d", on the terminal
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(self._text, mode="eval").body
        except SyntaxError as error:
            raise self._unreadable(error) from None
        except (ValueError, RecursionError, MemoryError):
            raise InvalidValue("the expression cannot be read; write a shorter one with plain numbers") from None
        self._check_depth(tree)
        return tree

    def kind_of(self, node: ast.AST) -> str:
        """What a part gives: a number, a text, a truth value or None."""
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name):
            return self._column(node)
        if isinstance(node, ast.BoolOp):
            return self._all_are(TRUTH, node.values, "and, or")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self._all_are(TRUTH, [node.operand], "not")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            return self._all_are(NUMBER, [node.operand], "+ -")
        if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            return self._all_are(NUMBER, [node.left, node.right], "+ - * /")
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        raise self.error(node, f"this is not allowed; {ALLOWED}")

    def error(self, node: ast.AST, words: str) -> InvalidValue:
        """An error that quotes the place; ast counts bytes, people letters."""
        line = self._text.encode()
        start, end = getattr(node, "col_offset", 0), getattr(node, "end_col_offset", len(line))
        quoted = line[start:end].decode(errors="replace")
        shown = quoted if len(quoted) <= 40 else quoted[:37] + "..."
        return InvalidValue(
            f"the expression at letter {len(line[:start].decode(errors='replace')) + 1}, {shown!r}: {words}"
        )

    def _constant(self, node: ast.Constant) -> str:
        value = node.value
        if value is None:
            return NONE
        if isinstance(value, bool):
            return TRUTH
        if isinstance(value, str):
            return TEXT
        if isinstance(value, int | float) and abs(value) <= 1e300:
            return NUMBER
        raise self.error(node, f"this is not allowed; {ALLOWED}")

    def _column(self, node: ast.Name) -> str:
        if node.id not in self._kinds:
            near = get_close_matches(node.id, self._kinds, n=NEAREST, cutoff=0.4) or sorted(self._kinds)
            words = "there is no such column of numbers, texts or truth values; nearest: "
            raise self.error(node, words + ", ".join(near))
        return self._kinds[node.id]

    def _all_are(self, wanted: str, parts: Iterable[ast.expr], of: str) -> str:
        for part in parts:
            found = self.kind_of(part)
            if found != wanted:
                hint = "; compare it, such as success > 0.5" if wanted == TRUTH else ""
                raise self.error(part, f"this is {found}, and {of} need {wanted}{hint}")
        return wanted

    def _comparison(self, node: ast.Compare) -> str:
        left = node.left
        for sign, right in zip(node.ops, node.comparators, strict=True):
            self._check_pair(left, sign, right)
            left = right
        return TRUTH

    def _check_pair(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> None:
        if isinstance(sign, ast.In | ast.NotIn) and isinstance(right, ast.Tuple | ast.List):
            first = self.kind_of(left)
            for each in right.elts:
                if not isinstance(each, ast.Constant) or self._constant(each) != first:
                    raise self.error(each, f"beside `in` stand constants; here each has to be {first}")
            return
        kinds = (self.kind_of(left), self.kind_of(right))
        if NONE in kinds:
            if not isinstance(sign, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
                raise self.error(right, "None can only be asked for with ==, !=, is, is not")
            return
        if isinstance(sign, ast.Is | ast.IsNot):
            raise self.error(right, "`is` goes with None alone; write == or !=")
        if kinds[0] != kinds[1]:
            raise self.error(right, f"{kinds[0]} is compared with {kinds[1]}")
        if isinstance(sign, ast.In | ast.NotIn) and kinds[0] != TEXT:
            raise self.error(right, "`in` needs a text, or constants in parentheses, on its right")
        if kinds[0] == TRUTH and not isinstance(sign, ast.Eq | ast.NotEq):
            raise self.error(right, "truth values are compared with == and != alone")

    def _unreadable(self, error: SyntaxError) -> InvalidValue:
        # the offset of a Python error counts letters from 1, may lie behind the end, and is 0 at the end
        at = min(error.offset - 1, len(self._text)) if error.offset else len(self._text)
        rest = self._text[at : at + 20]
        where = f"before {rest!r}" if rest else "at its end"
        return InvalidValue(f"the expression cannot be read at letter {at + 1}, {where} ({error.msg})")

    def _check_depth(self, tree: ast.expr) -> None:
        level: list[ast.AST] = [tree]
        for _ in range(DEEPEST):
            level = [child for node in level for child in ast.iter_child_nodes(node)]
            if not level:
                return
        raise self.error(tree, f"this is nested more than {DEEPEST} deep; write it shorter")


def _kind(arrow: pa.DataType) -> str | None:
    if pa.types.is_boolean(arrow):
        return TRUTH
    if pa.types.is_integer(arrow) or pa.types.is_floating(arrow):
        return NUMBER
    return TEXT if pa.types.is_string(arrow) or pa.types.is_large_string(arrow) else None


def _value(node: ast.expr, row: Mapping[str, Any]) -> Any:
    """The value of a checked part for one row: a float, str, bool, None or Unknown."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        value = row.get(node.id)
        missing = value is None or (isinstance(value, float) and math.isnan(value))
        return Unknown((f"{node.id} is missing",)) if missing else value
    if isinstance(node, ast.BoolOp):
        return _joined((_value(part, row) for part in node.values), stops=isinstance(node.op, ast.Or))
    if isinstance(node, ast.UnaryOp):
        return _signed(node.op, _value(node.operand, row))
    if isinstance(node, ast.BinOp):
        return _calculated(node, _value(node.left, row), _value(node.right, row))
    assert isinstance(node, ast.Compare)
    parts = [node.left, *node.comparators]
    pairs = zip(parts, node.ops, parts[1:], strict=False)
    return _joined((_compared(left, sign, right, row) for left, sign, right in pairs), stops=False)


def _joined(values: Iterable[Any], stops: bool) -> Any:
    """Kleene's and (`stops` False) and or (`stops` True)."""
    unknown: dict[str, None] = {}
    for value in values:
        if isinstance(value, Unknown):
            unknown |= dict.fromkeys(value.why)
        elif value is stops:
            return stops
    return Unknown(tuple(unknown)) if unknown else not stops


def _signed(sign: ast.unaryop, value: Any) -> Any:
    if isinstance(value, Unknown):
        return value
    if isinstance(sign, ast.Not):
        return not value
    return -value if isinstance(sign, ast.USub) else value


def _calculated(node: ast.BinOp, left: Any, right: Any) -> Any:
    unknown = [part for part in (left, right) if isinstance(part, Unknown)]
    if unknown:
        return Unknown(tuple(dict.fromkeys(why for part in unknown for why in part.why)))
    if isinstance(node.op, ast.Div) and right == 0:
        return Unknown((f"{ast.unparse(node)} divides by zero",))
    # whole numbers would grow without end, and are too large to divide some day
    value = ARITHMETIC[type(node.op)](float(left), float(right))
    return value if math.isfinite(value) else Unknown((f"{ast.unparse(node)} is no finite number",))


def _compared(left: ast.expr, sign: ast.cmpop, right: ast.expr, row: Mapping[str, Any]) -> Any:
    if isinstance(right, ast.Tuple | ast.List):
        value, among = _value(left, row), [each.value for each in right.elts if isinstance(each, ast.Constant)]
        return value if isinstance(value, Unknown) else COMPARISONS[type(sign)](value, among)
    one, other = _value(left, row), _value(right, row)
    if _is_none(left) or _is_none(right):
        missing = all(value is None or isinstance(value, Unknown) for value in (one, other))
        return missing if isinstance(sign, ast.Eq | ast.Is) else not missing
    unknown = [part for part in (one, other) if isinstance(part, Unknown)]
    if unknown:
        return Unknown(tuple(dict.fromkeys(why for part in unknown for why in part.why)))
    return COMPARISONS[type(sign)](one, other)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
