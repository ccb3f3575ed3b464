"""The page itself: the template filled in, its style and scripts put inside."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from headway.report import facts
from headway.report.entries import COLUMNS, Entries, for_script
from headway.report.weights import weight_figure
from headway.source import Source
from headway.tables import Scores

SCRIPTS = ("dom.js", "curve.js", "player.js", "decisions.js", "card.js", "toolbar.js", "page.js")


def describe(scores: Scores, source: Source, entries: Entries, tables: Sequence[facts.ReportTable]) -> dict[str, Any]:
    """Everything the template shows but the pictures."""
    bars = facts.histogram(scores, entries.outcomes)
    style = _file("page.css")
    script = "(() => {\n'use strict';\n" + "\n".join(_file(name) for name in SCRIPTS) + "})();\n"
    head = {
        "dataset": str(source.root),
        "fingerprint": _fingerprint(scores, source),
        "columns": [asdict(column) for column in COLUMNS],
        "stageNames": entries.stage_names,
        "interpolated": facts.interpolated(scores),
        "gaps": facts.gaps(scores),
    }
    data = for_script(head)[:-1] + ',"episodes":[' + ",".join(entries.texts) + "]}"
    return {
        "dataset": source.root.name,
        "origin": facts.origin(scores, source),
        "run_text": facts.run_text(scores.run),
        "cautions": facts.cautions(scores, source, entries.truths),
        "summary": facts.summary(scores, entries.outcomes, entries.truths),
        "bars": bars,
        "tallest": max(1, *(bar.count for bar in bars)),
        "weights": weight_figure(scores),
        "tables": tables,
        "columns": COLUMNS,
        "cannot_tell": facts.cannot_tell(scores, entries.outcomes, entries.truths),
        "style": Markup(style),
        "style_hash": _hash(style),
        "script": Markup(script),
        "script_hash": _hash(script),
        "data": Markup(data),
    }


def render(page: Mapping[str, Any], media: Mapping[str, str], notes: Sequence[str]) -> Iterator[str]:
    """The page's text in pieces; `media` is put in as it is, so its values must be base64 or from `for_script`."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["cell"] = facts.cell
    template = environment.from_string(_file("template.html.j2"))
    marked = {name: Markup(content) for name, content in media.items()}
    return template.generate(**page, media=marked, notes=notes)


def _fingerprint(scores: Scores, source: Source) -> str:
    """By what a browser keeps verdicts on these episodes apart from those on others."""
    run = json.dumps(scores.run, sort_keys=True, default=str)
    return hashlib.sha256(f"{source.fingerprint}\n{run}".encode()).hexdigest()[:16]


def _hash(content: str) -> str:
    """A source expression of the content security policy: this very text may run, and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _file(name: str) -> str:
    return (files("headway.report") / name).read_text(encoding="utf-8")
