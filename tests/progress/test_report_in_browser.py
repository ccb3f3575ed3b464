"""The report opened in a real browser, where one is installed."""

import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from headway.episodes import Episode, ProgressCurve
from headway.report import write_report
from headway.scoring import ranked
from headway.signals.summary import summarise
from headway.tables import EPISODE_SCHEMA, Scores, frame_rows

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on PATH")

QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=4000",
]
HOSTILE = "</script><script>document.documentElement.dataset.taken = 1</script><img src=x onerror=alert(1)>"
STAGES = ["right", "down"]


def scored(episodes: list[Episode], root: Path) -> Scores:
    """Scores that know everything: stages, success, uncertainty, a fold; the last episode has none, for a reason."""
    pairs = []
    for episode in episodes:
        assert episode.truth is not None
        values = np.clip(episode.truth.progress + 0.02, 0, 1).astype(np.float32)
        curve = ProgressCurve(
            values,
            np.arange(len(episode)) % 3 == 0,
            "test",
            stage=episode.truth.stage,
            stage_names=tuple(STAGES),
            success=values**8,
            uncertainty=np.full_like(values, 0.05),
            fold=1,
            in_sample=episode.index == 1,
        )
        pairs.append((episode, curve))
    episode, curve = pairs[-1]
    pairs[-1] = (episode, replace(curve, values=np.full(len(episode), np.nan, np.float32), reason=HOSTILE))
    frames = pa.concat_tables([frame_rows(episode, curve) for episode, curve in pairs])
    rows = ranked([summarise(episode, curve) for episode, curve in pairs])
    episodes_table = pa.Table.from_pylist(rows, schema=EPISODE_SCHEMA)
    return Scores(root, frames, episodes_table, {"estimator": "sarm:runs/toy", "stage_names": STAGES})


@pytest.fixture
def report(tmp_path: Path, make_sliders, make_source) -> Path:
    episodes = make_sliders(4, failing=3)
    episodes[0] = replace(episodes[0], instruction=HOSTILE, kind=HOSTILE)
    source = make_source(episodes, tmp_path / "toy")
    return write_report(scored(episodes, tmp_path), source, tmp_path / "report.html")


def browse(page: Path, *arguments: str) -> tuple[str, str]:
    """Open a page and return (what is printed, what the browser complains of)."""
    assert BROWSER is not None
    profile = f"--user-data-dir={page.parent / 'profile'}"
    done = subprocess.run(
        [BROWSER, *QUIET, profile, *arguments, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def test_every_episode_becomes_a_card_and_the_browser_has_nothing_to_complain_of(report: Path):
    dom, complaints = browse(report, "--dump-dom")
    assert complaints == ""
    assert 'data-cards="7"' in dom
    cards = re.findall(r'<article class="card[^"]*".*?</article>', dom, flags=re.DOTALL)
    assert len(cards) == 7
    assert all('class="line truth"' in card and 'class="play"' in card for card in cards[:-1])
    assert "Episode 6" in cards[-1]  # without a score: last
    assert 'class="gap"' in cards[-1]
    assert sum(">IN-SAMPLE<" in card for card in cards) == 1


def test_hostile_text_is_shown_and_never_run(report: Path):
    dom, complaints = browse(report, "--dump-dom")
    assert complaints == ""
    assert "data-taken" not in dom.split("<body")[0]
    assert not re.search(r"<img[^>]*onerror", dom)
    shown = [unescape(text) for text in re.findall(r"<bdi>(.*?)</bdi>", dom, flags=re.DOTALL)]
    assert f"“{HOSTILE}”" in shown
    assert HOSTILE in shown


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_at_the_side_of_the_window(report: Path, width: int):
    picture = report.with_name("page.png")
    _, complaints = browse(report, f"--screenshot={picture}", f"--window-size={width},4000", "--hide-scrollbars")
    assert complaints == ""
    pixels = cv2.imread(str(picture))
    assert pixels.shape[1] == width
    assert np.ptp(pixels, axis=(0, 1)).min() > 150  # something is drawn
    assert np.ptp(pixels[:, -8:].reshape(-1, 3), axis=0).max() < 12  # and nothing is cut off
