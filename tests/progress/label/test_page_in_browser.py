"""The page of `headway label` in a real browser, where one is installed: marks made with the keyboard."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.request import Request, urlopen

import pytest

playwright = pytest.importorskip("playwright.sync_api")

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on PATH")

HOSTILE = "</script><script>document.documentElement.dataset.taken = 1</script><img src=x onerror=alert(1)>"
WAIT = 10_000  # milliseconds


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium) -> Iterator:
    """A window; whatever it complains of fails the test."""
    window = chromium.new_page(viewport={"width": 1280, "height": 900})
    window.set_default_timeout(WAIT)
    complaints: list[str] = []
    window.on("pageerror", lambda error: complaints.append(str(error)))
    window.complaints = complaints
    yield window
    window.close()
    assert complaints == []


def visit(page, served) -> None:
    page.goto(served.address)
    page.wait_for_selector("#heading h2")


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def until(page, expression: str) -> None:
    """Wait for a condition; playwright's own way needs `eval`, which the page's policy forbids."""
    deadline = time.monotonic() + WAIT / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never came true: {expression}; status: {page.inner_text('#status')}"
        page.wait_for_timeout(20)


def saved(page) -> None:
    until(page, "document.getElementById('status').textContent === 'saved'")


def frame(page) -> int:
    return int(page.inner_text("#frame").split()[1])


def test_stages_and_success_are_marked_at_exact_frames_and_survive_a_reload_and_undo(page, serve, unmarked):
    served = serve(unmarked)
    length = len(unmarked[0])
    visit(page, served)
    press(page, *["ArrowRight"] * 3, "1", *["Shift+ArrowRight"] * 2, "ArrowLeft", "2", "ArrowRight", "ArrowRight", "1")
    saved(page)
    assert served.stages() == [("right", 3, 22), ("down", 22, 24), ("right", 24, length)], "a name comes again"
    press(page, "Shift+ArrowRight", "0", "s")
    saved(page)
    assert served.stages() == [("right", 3, 22), ("down", 22, 24), ("right", 24, 34)]
    assert served.kept().episodes[0].success is True
    page.reload()
    page.wait_for_selector("#success[aria-pressed=true]")
    assert frame(page) == 34
    assert page.inner_text("#count") == "1 of 3 episodes marked"
    assert page.locator(".bar span").count() == 3
    press(page, "u")
    saved(page)
    assert served.kept().episodes[0].success is None
    press(page, "u", "u")
    saved(page)
    assert served.stages() == [("right", 3, 22), ("down", 22, length)]
    press(page, "u", "u")
    saved(page)
    assert served.kept().episodes == {}
    assert page.inner_text("#count") == "0 of 3 episodes marked"


def test_boundaries_are_jumped_to_moved_and_removed(page, serve, unmarked):
    served = serve(unmarked)
    visit(page, served)
    press(page, "1", "Shift+ArrowRight", "2", "Home", "ArrowDown")
    assert frame(page) == 10
    press(page, "+", "+", "-", "+")
    assert frame(page) == 12
    saved(page)
    assert served.stages() == [("right", 0, 12), ("down", 12, len(unmarked[0]))]
    press(page, "ArrowUp", "-")
    assert frame(page) == 0, "a boundary stays within the episode"
    press(page, "ArrowDown", *["ArrowRight"] * 3, "1", "ArrowUp", *["+"] * 5)
    assert frame(page) == 14, "and before the next, at 15"
    press(page, "x")
    saved(page)
    assert served.stages() == [("right", 0, len(unmarked[0]))]


def test_the_next_unmarked_episode_is_gone_to_and_undo_goes_back(page, serve, unmarked):
    served = serve(unmarked)
    visit(page, served)
    press(page, "n")
    page.wait_for_selector("h2:text('Episode 1')")
    press(page, "f")
    saved(page)
    press(page, "p")
    page.wait_for_selector("h2:text('Episode 0')")
    press(page, "m")
    page.wait_for_selector("h2:text('Episode 2')")
    assert {index: each.success for index, each in served.kept().episodes.items()} == {1: False}
    press(page, "u")
    page.wait_for_selector("h2:text('Episode 1')")
    saved(page)
    assert served.kept().episodes == {}


def test_proposed_boundaries_are_seen_beside_ones_own_and_accepted_or_moved(page, serve, unmarked, proposal):
    served = serve(unmarked, proposed=proposal(unmarked, [("right", 0, 21), ("down", 21, 40)]))
    visit(page, served)
    press(page, *["Shift+ArrowRight"] * 2, "ArrowLeft", "2")  # frame 19, two too early
    saved(page)
    down = page.locator(".boundary[data-stage='1']")
    assert down.locator("h2 em").inner_text() == "differs"
    captions = down.locator("figcaption").all_inner_texts()
    assert captions == ["before 20", "at 21", "before 18", "at 19"]
    down.scroll_into_view_if_needed()
    until(page, "document.querySelectorAll('.boundary.differs img').length === 4")
    assert all(image.evaluate("each => each.naturalWidth") == 32 for image in down.locator("img").all())
    assert [image.get_attribute("data-frame") for image in down.locator("img").all()] == ["20", "21", "18", "19"]
    press(page, "a")
    saved(page)
    assert served.stages() == [("down", 21, len(unmarked[0]))]
    assert down.locator("h2 em").inner_text() == "agreed"
    assert frame(page) == 40, "the next that is not agreed on"
    press(page, "Home", "a")
    saved(page)
    assert served.stages() == [("right", 0, 21), ("down", 21, len(unmarked[0]))]
    press(page, "Shift+A")
    saved(page)
    assert served.stages() == [("right", 0, 21), ("down", 21, 40)]
    assert served.kept().episodes[0].success is True


def test_marks_of_the_dataset_itself_are_shown_and_confirmed(page, serve, make_sliders):
    episodes = make_sliders(2)
    served = serve(episodes)
    visit(page, served)
    assert "shift+a confirms" in page.inner_text("#heading")
    assert served.kept().episodes == {}
    press(page, "Shift+A")
    saved(page)
    assert served.stages() == [(each.name, each.start, each.end) for each in episodes[0].stages]
    assert served.kept().episodes[0].success is True


@pytest.mark.parametrize(("key", "said"), [("s", True), ("f", False)])
@pytest.mark.parametrize("before", [[], ["Shift+A"]])
def test_success_that_the_dataset_has_is_confirmed_and_cleared_only_by_its_own_key(
    page, serve, make_sliders, key, said, before
):
    episodes = [replace(episode, success=said) for episode in make_sliders(2)]
    served = serve(episodes)
    stages = [(each.name, each.start, each.end) for each in episodes[0].stages]
    own = page.locator("#success" if said else "#failure")
    visit(page, served)
    assert own.get_attribute("aria-pressed") == "true", "as the dataset has it"
    press(page, *before, key)
    until(page, "document.querySelector('#heading .badge').textContent === 'marked'")
    # by its button too, and as often as one likes
    press(page, key)
    own.click()
    page.wait_for_selector("#status:text('marked already; c takes it back')")
    until(page, "document.querySelector('#count').textContent.startsWith('1 of 2')")
    assert served.kept().episodes[0].success is said
    assert served.stages() == stages
    press(page, "f" if said else "s")
    saved(page)
    assert served.kept().episodes[0].success is not said
    press(page, "c")
    saved(page)
    assert served.kept().episodes[0].success is None
    assert served.stages() == stages
    press(page, "c")
    page.wait_for_selector("#status:text('you marked neither')")
    press(page, "u", "u")
    saved(page)
    assert served.kept().episodes[0].success is said
    press(page, "u")
    saved(page)
    assert served.kept().episodes == {}
    assert own.get_attribute("aria-pressed") == "true", "as the dataset has it, again"


def test_clearing_is_shown_and_takes_away_marks_of_which_nothing_is_left(page, serve, unmarked):
    served = serve([replace(episode, success=True) for episode in unmarked])
    visit(page, served)
    page.locator("summary").click()
    assert "clear: take your success or failure back" in page.inner_text("#keys")
    assert page.inner_text("#clear").split() == ["clear", "c"]
    press(page, "c")
    page.wait_for_selector("#status:text('you marked neither')")
    page.locator("#failure").click()
    saved(page)
    assert served.kept().episodes[0].success is False
    page.locator("#clear").click()
    saved(page)
    assert served.kept().episodes == {}
    assert page.inner_text(".badge") == "not marked yet: success as the dataset has it; shift+a confirms"
    # the next key comes before the server has answered
    press(page, "u", "u", "s")
    saved(page)
    assert served.kept().episodes[0].success is True
    press(page, "u")
    saved(page)
    assert served.kept().episodes == {}


@pytest.mark.parametrize(
    ("proposed", "shown", "words"),
    [
        (False, "#failure", "success as proposed"),
        (None, "#success", "success as the dataset has it, none is proposed"),
    ],
)
def test_success_begins_as_proposed_or_else_as_the_dataset_has_it(
    page, serve, unmarked, proposal, proposed, shown, words
):
    episodes = [replace(episode, success=True) for episode in unmarked]
    served = serve(episodes, proposed=proposal(episodes, [("right", 0, 21)], success=proposed))
    visit(page, served)
    assert page.locator("#outcome [aria-pressed=true]").count() == 1
    assert page.locator(f"{shown}[aria-pressed=true]").count() == 1
    assert page.inner_text(".badge") == f"not marked yet: {words}; shift+a confirms"
    assert served.kept().episodes == {}
    press(page, "f" if proposed is False else "s")
    saved(page)
    assert served.kept().episodes[0].success is (proposed is not False)
    press(page, "n")
    page.wait_for_selector("h2:text('Episode 1')")
    assert page.locator("#success[aria-pressed=true]").count() == 1, "nothing at all is proposed for it"


def test_play_passes_over_no_frame_and_ends_at_the_last(page, serve, unmarked):
    served = serve([replace(unmarked[0], fps=100.0)])
    visit(page, served)
    page.evaluate("""() => {
      window.seen = [];
      const slot = document.querySelector('.slot');
      new MutationObserver(() => seen.push(Number(slot.firstChild.dataset.frame))).observe(slot, { childList: true });
    }""")
    press(page, "Space")
    until(page, f"seen.at(-1) === {len(unmarked[0]) - 1}")
    numbers = page.evaluate("seen")
    assert numbers == list(range(numbers[0], len(unmarked[0])))
    until(page, "document.querySelector('#play').textContent.startsWith('play')")


def test_hostile_text_is_shown_and_never_run(page, serve, unmarked, proposal):
    names = (HOSTILE, "down")
    hostile = [replace(unmarked[0], instruction=HOSTILE), *unmarked[1:]]
    proposed = replace(proposal(hostile, [(HOSTILE, 0, 21)], names=names), made_by=HOSTILE)
    served = serve(hostile, names, proposed, name=HOSTILE.replace("/", "")[:80])
    visit(page, served)
    press(page, "1")
    saved(page)
    assert served.stages() == [(HOSTILE, 0, len(hostile[0]))]
    assert page.evaluate("document.documentElement.dataset.taken") is None
    assert page.locator("img[onerror]").count() == 0
    assert HOSTILE in page.inner_text("#heading")
    assert HOSTILE in page.inner_text("#boundaries")


def test_what_is_marked_elsewhere_is_not_overwritten(page, serve, unmarked):
    served = serve(unmarked)
    visit(page, served)
    elsewhere = {"before": {"stages": [], "success": None}, "after": {"stages": [["down", 5, 9]], "success": None}}
    request = Request(f"{served.address}episode/0.json", json.dumps(elsewhere).encode(), method="PUT")
    request.add_header("Content-Type", "application/json")
    urlopen(request).close()
    press(page, "s")
    page.wait_for_selector("#status:text('marked in another window')")
    page.wait_for_selector(".boundary[data-stage='1']")
    assert served.stages() == [("down", 5, 9)]
    assert served.kept().episodes[0].success is None
    press(page, "s")
    saved(page)
    assert served.kept().episodes[0].success is True


def test_what_could_not_be_saved_is_told_and_saved_as_soon_as_it_can_be(page, serve, unmarked):
    served = serve(unmarked)
    visit(page, served)
    served.failing = True
    press(page, "1", "s")
    page.wait_for_selector("#status.alarming:text('NOT SAVED')")
    served.failing = False
    saved(page)
    assert served.stages() == [("right", 0, len(unmarked[0]))]
    assert served.kept().episodes[0].success is True


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_at_the_side_of_the_window(page, serve, unmarked, proposal, width):
    served = serve(unmarked, proposed=proposal(unmarked, [("right", 0, 21), ("down", 21, 40)]))
    page.set_viewport_size({"width": width, "height": 900})
    visit(page, served)
    press(page, "a")
    saved(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
