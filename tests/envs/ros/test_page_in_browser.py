"""The operator's page in a real browser, where one is installed."""

import re
import runpy
import shutil
import threading
import time
from pathlib import Path

import pytest

from headway_envs.ros import messages

playwright = pytest.importorskip("playwright.sync_api")

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on PATH")

Operated = runpy.run_path(str(Path(__file__).with_name("operated.py")))["Operated"]
HOSTILE = "</script><script>document.documentElement.dataset.taken = 1</script><img src=x onerror=alert(1)>"
WAIT = 20_000  # milliseconds


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def operated():
    made = []

    def make(**options):
        made.append(Operated(**options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def visit(chromium):
    """Opens a window on an address; a script that fails, or a policy that is broken, fails the test."""
    windows, complaints = [], []

    def open_(address, **options):
        window = chromium.new_page(**({"viewport": {"width": 1280, "height": 900}} | options))
        window.set_default_timeout(WAIT)
        window.on("pageerror", lambda error: complaints.append(str(error)))
        window.on("console", lambda said: complaints.append(said.text) if "Policy" in said.text else None)
        windows.append(window)
        window.goto(address)
        return window

    yield open_
    for window in windows:
        window.close()
    assert complaints == []


def until(page, expression):
    """Wait for a condition; playwright's own way needs `eval`, which the page's policy forbids."""
    deadline = time.monotonic() + WAIT / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never came true: {expression}; {page.inner_text('body')[:300]}"
        page.wait_for_timeout(20)


def says(page, id_, text):
    until(page, f"document.getElementById('{id_}').textContent.includes({text!r})")


def live(page):
    until(page, "!document.body.classList.contains('lost')")


def shows_picture(page):
    until(page, "document.querySelector('.frame img')?.naturalWidth === 64 && !document.querySelector('.old')")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_picture_progress_and_state_are_live_at_any_width(operated, visit, width, scheme):
    world = operated(task=HOSTILE).running()
    page = visit(world.page.url, viewport={"width": width, "height": 844}, color_scheme=scheme)
    live(page)
    says(page, "state", "RUNNING")
    says(page, "progress", "25 %")
    shows_picture(page)
    before = page.evaluate("document.querySelector('.frame img').src")
    until(page, f"document.querySelector('.frame img').src !== {before!r}")
    until(page, "document.querySelector('#curve .line').getAttribute('d').includes('L')")
    world.estimator.progress = 0.5
    says(page, "progress", "50 %")
    assert page.inner_text("#task") == HOSTILE
    assert page.evaluate("document.documentElement.dataset.taken") is None
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.is_hidden("#banner")
    assert page.is_hidden("#enable")
    assert page.is_hidden("#disable")
    stop = page.locator("#stop")
    assert stop.inner_text().startswith("Software stop")
    box = stop.bounding_box()
    assert box["y"] + box["height"] <= 844, "in reach without scrolling"
    assert box["height"] >= 44


def test_success_is_shown_and_reset_takes_it_back(operated, visit):
    world = operated()
    world.estimator.progress = 0.95
    page = visit(world.page.url)
    page.wait_for_selector("#done:not([hidden])")
    until(page, "document.querySelector('#curve .mark').getAttribute('d') !== ''")
    world.estimator.progress = 0.1
    page.click("#reset")
    says(page, "answer", "reset: done")
    until(page, "document.getElementById('done').hidden")
    until(page, "document.querySelector('#curve .mark').getAttribute('d') === ''")


def test_space_stops_wherever_the_focus_is(operated, visit):
    world = operated(motion=True).running()
    page = visit(world.page.url)
    live(page)
    assert world.node.ask("enable").success
    page.wait_for_selector("#disable:not([hidden])")
    # a space on a button that has the focus would otherwise click it
    page.focus("#disable")
    page.keyboard.press(" ")
    world.until(lambda: world.node.core.reason == "stop was called")
    world.until(lambda: world.stops > 0)
    says(page, "answer", "stop: done, STOPPED")
    says(page, "state", "STOPPED stop was called")
    page.keyboard.press("Escape")
    page.click("#start")
    world.running()
    page.click("#stop")
    world.until(lambda: world.node.core.state == "STOPPED")
    assert not world.node.core.permission.given


def test_motion_needs_a_second_click_that_is_no_double_click(operated, visit):
    world = operated(motion=True).running()
    asked = []
    world.node.ask = lambda service, value=True, ask=world.node.ask: (
        asked.append((service, value)),
        ask(service, value),
    )[1]
    page = visit(world.page.url)
    page.wait_for_selector("#enable:enabled")
    page.dblclick("#enable")
    says(page, "enable", "Click again")
    assert asked == []
    page.wait_for_timeout(600)
    page.click("#enable")
    world.until(lambda: world.node.core.permission.given)
    says(page, "motion", "MOTION ENABLED")
    page.click("#disable")
    world.until(lambda: not world.node.core.permission.given)
    page.wait_for_selector("#enable:enabled")
    page.click("#enable")
    says(page, "enable", "Click again")
    # whatever keeps it from being given forgets the first click too
    world.node.ask("stop")
    says(page, "enable", "Enable motion")
    assert page.is_disabled("#enable")
    assert asked == [("enable", True), ("enable", False), ("stop", True)]


def test_a_silent_estop_keeps_motion_off_and_says_why(operated, visit):
    world = operated(motion=True).running()
    world.estop = False
    page = visit(world.page.url)
    says(page, "motion", "e-stop silent")
    until(page, "document.getElementById('enable').disabled")
    assert page.get_attribute("#enable", "title") == "the e-stop is silent"


def test_a_node_that_hangs_is_unmistakable_and_comes_back(operated, visit):
    world = operated().running()
    page = visit(world.page.url)
    live(page)
    world.hung.go.clear()
    says(page, "banner", "THE NODE HANGS")
    page.wait_for_selector("#banner", state="visible")
    assert page.is_disabled("#reset")
    page.keyboard.press(" ")
    says(page, "answer", "NOT STOPPED: the node does not answer. Use the emergency stop.")
    world.hung.go.set()
    live(page)
    assert page.is_hidden("#banner")
    # the stop that was asked for meanwhile happened after all
    says(page, "state", "STOPPED")
    until(page, "document.getElementById('answer').textContent === ''")


def test_a_connection_that_is_lost_is_unmistakable_and_its_age_counts_up(operated, visit):
    world = operated().running()
    page = visit(world.page.url)
    live(page)
    shows_picture(page)
    world.page.close()
    says(page, "banner", "NO CONNECTION to the node. All of this is")
    age = lambda: float(re.search(r"is ([\d.]+) s old", page.inner_text("#banner"))[1])  # noqa: E731
    first = age()
    until(page, f"parseFloat(document.getElementById('banner').textContent.split(' is ')[1]) > {first} + 0.5")
    assert "old" in page.inner_text("#age")
    assert page.evaluate("getComputedStyle(document.querySelector('.frame img')).filter").startswith("grayscale(1)")
    assert page.title().startswith("NOT LIVE")
    assert page.is_enabled("#stop")
    page.click("#stop")
    says(page, "answer", "NOT STOPPED: it did not reach the node. Use the emergency stop.")


def test_a_server_that_hangs_with_its_connection_open_does_not_look_alive(operated, visit):
    world = operated().running()
    page = visit(world.page.url)
    live(page)
    go = threading.Event()
    world.page._loop.call_soon_threadsafe(go.wait)
    try:
        says(page, "banner", "NO CONNECTION to the node")
    finally:
        go.set()
    live(page)


def test_a_camera_that_falls_silent_or_repeats_itself_is_greyed(operated, visit):
    world = operated().running()
    page = visit(world.page.url)
    shows_picture(page)
    world.filming = False
    until(
        page,
        "document.querySelector('figure.old .words') && / old$/.test(document.querySelector('.words').textContent)",
    )
    says(page, "state", "DEGRADED stale pictures")
    until(page, "document.body.classList.contains('invalid')")
    same = world.picture()["data"]
    world.picture = lambda: messages.compressed_image(same, "jpeg", time.time())
    world.filming = True
    until(page, "document.querySelector('.words').textContent.startsWith('the same picture for')")
    assert page.evaluate("document.querySelector('figure').classList.contains('old')")


def test_the_address_of_an_earlier_run_says_so(operated, visit):
    world = operated().running()
    page = visit(world.page.url)
    live(page)
    world.page.token = "another"
    world.page.close()
    # the same port, as `--page 8080` gives it again
    again = type(world.page)(world.node, world.page.port)
    again.start()
    try:
        says(page, "banner", "open the whole address that headway printed")
    finally:
        again.close()


def test_pictures_are_fetched_only_while_somebody_looks(operated, visit):
    world = operated().running()
    page = visit(world.page.url)
    shows_picture(page)
    fetched = []
    page.on("request", lambda request: fetched.append(request.url) if "/picture/" in request.url else None)
    # headless windows are never hidden by themselves
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.wait_for_timeout(300)
    fetched.clear()
    lived = world.node.core.reporter.results
    world.until(lambda: world.node.core.reporter.results > lived + 10)
    page.wait_for_timeout(100)
    assert fetched == []
    page.evaluate("delete document.hidden")
    until(page, "!document.querySelector('.old')")
    page.wait_for_timeout(300)
    assert fetched
