"""`headway label` on the command line, and one line for what is wrong."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from filelock import FileLock

from headway.episodes import Stage
from headway.label.marks import Marks, marks_of
from headway.local_page import listen
from headway_datasets.lerobot_writer import write_dataset
from headway_datasets.marks import read_marks, write_marks
from headway_datasets.opening import open_dataset


@pytest.fixture
def dataset(tmp_path, make_sliders):
    """A LeRobot dataset that nobody marked."""
    episodes = [replace(episode, stages=None, success=None, truth=None, kind=None) for episode in make_sliders(2)]
    write_dataset(tmp_path / "toy", episodes)
    return tmp_path / "toy"


@pytest.fixture
def marking(dataset, headway):
    """Runs the command until `person` has done what a person does, then presses Ctrl-C; gives what was printed."""

    def run(*options, person):
        with listen(0) as own:
            port = own.getsockname()[1]
        address = f"http://127.0.0.1:{port}/"

        def act():
            try:
                wait_for(address)
                person(address)
            finally:
                os.kill(os.getpid(), signal.SIGINT)

        with ThreadPoolExecutor(1) as pool:
            acted = pool.submit(act)
            done = headway("label", dataset.name, "--port", port, *options, cwd=dataset.parent)
            acted.result()
        return done

    return run


def wait_for(address):
    for _ in range(500):
        with suppress(URLError), urlopen(address, timeout=10):
            return
        time.sleep(0.02)


def put(address, index, after):
    body = json.dumps({"before": {"stages": [], "success": None}, "after": after}).encode()
    request = Request(f"{address}episode/{index}.json", body, {"Content-Type": "application/json"}, method="PUT")
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_marks_are_kept_at_once_and_gone_on_with_and_ctrl_c_says_what_is_next(dataset, marking):
    folder = dataset.parent / "marks" / "toy"

    def first(address):
        put(address, 1, {"stages": [["open", 0, 7]], "success": False})
        assert read_marks(folder).episodes[1].stages == (Stage("open", 0, 7),), "while the page is still served"

    def second(address):
        put(address, 0, {"stages": [["pick", 3, 9]], "success": None})
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{address}episode/9.json", timeout=10)

    done = marking("--stages", "open;pick", person=first)
    assert (done.returncode, done.stderr) == (0, "")
    done = marking(person=second)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("open http://127.0.0.1:")
    assert lines[1] == "marks go to marks/toy, each as it is made: 1 of 2 episodes marked"
    assert lines[-2:] == [
        "marks are in marks/toy: 2 of 2 episodes marked",
        "next: headway train sarm toy --marks marks/toy --out runs/toy",
    ]
    kept = read_marks(folder)
    assert kept.stage_names == ("open", "pick")
    assert {index: each.stages for index, each in kept.episodes.items()} == {
        0: (Stage("pick", 3, 9),),
        1: (Stage("open", 0, 7),),
    }


def test_with_nothing_marked_it_says_how_to_go_on(dataset, marking):
    source = open_dataset(dataset)
    proposed = Marks(("open",), {0: marks_of(source.episode(0), (Stage("open", 0, 7),), None)}, "gvl:m", "toy")
    write_marks(dataset.parent / "my proposal", proposed)
    lines = marking("--proposed", "my proposal", person=lambda address: None).stdout.splitlines()
    assert lines[-2:] == [
        "marks are in marks/toy: 0 of 2 episodes marked",
        "nothing is marked yet; go on with: headway label toy --marks marks/toy --proposed 'my proposal'",
    ]


def test_success_without_stages_is_not_for_sarm(dataset, marking, headway):
    def person(address):
        put(address, 0, {"stages": [], "success": True})

    words = "success is marked but no stages, so heads and classifier can learn from this; sarm needs stages"
    lines = marking("--stages", "open", person=person).stdout.splitlines()
    assert lines[-2:] == [words, "next: headway train heads toy --marks marks/toy --out runs/toy"]
    done = headway("label", "toy", "--install", cwd=dataset.parent)
    assert done.stdout.splitlines()[-2:] == [words, "next: headway train heads toy --out runs/toy"]


def test_success_alone_in_a_dataset_with_stages_of_its_own_is_for_sarm(tmp_path, make_sliders, headway):
    write_dataset(tmp_path / "toy", make_sliders(2))
    source = open_dataset(tmp_path / "toy")
    marks = marks_of(source.episode(0), None, source.episode(0).success)
    write_marks(tmp_path / "marks", Marks((), {0: marks}, "person", source.fingerprint))
    done = headway("label", "toy", "--marks", "marks", "--install", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "next: headway train sarm toy --out runs/toy", done.stderr


def test_a_place_that_cannot_be_written_is_told_with_the_option_that_there_is(dataset, headway):
    (dataset.parent / "file").write_text("")
    (dataset.parent / "taken" / "episodes.parquet").mkdir(parents=True)
    for folder in ("file", "taken"):
        done = headway("label", "toy", "--marks", folder, "--port", 0, cwd=dataset.parent)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.endswith("choose another place with --marks\n")


def test_while_the_page_is_served_too(dataset, marking):
    def person(address):
        (dataset.parent / "marks" / "toy" / "episodes.parquet").unlink()
        (dataset.parent / "marks" / "toy" / "episodes.parquet").mkdir()
        with pytest.raises(HTTPError, match="507") as caught:
            put(address, 0, {"stages": [], "success": True})
        assert caught.value.read().decode().endswith("choose another place with --marks")

    assert marking(person=person).returncode == 0


def test_a_dataset_that_cannot_be_written_is_told_without_an_option_that_there_is_not(dataset, headway):
    source = open_dataset(dataset)
    marks = {0: marks_of(source.episode(0), None, True)}
    write_marks(dataset.parent / "marks", Marks((), marks, "person", source.fingerprint))
    (dataset / "meta" / "headway_marks.json").mkdir()
    done = headway("label", "toy", "--marks", "marks", "--install", cwd=dataset.parent)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.endswith("allow writing there, or leave the marks in their folder\n")


def test_one_marks_in_a_folder_and_on_a_port_at_a_time(dataset, headway):
    folder = dataset.parent / "marks"
    folder.mkdir()
    with FileLock(folder / ".lock"):
        done = headway("label", dataset, "--marks", folder, "--port", 0)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"headway: another headway label is marking in {folder}")
    with listen(0) as own:
        port = own.getsockname()[1]
        done = headway("label", dataset, "--marks", folder, "--port", port)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"port {port} cannot be used" in done.stderr


def test_marks_are_installed_when_asked(dataset, headway):
    source = open_dataset(dataset)
    marks = marks_of(source.episode(0), (Stage("open", 0, 7), Stage("pick", 7, 20)), True)
    folder = dataset.parent / "mine"
    write_marks(folder, Marks(("open", "pick"), {0: marks}, "person", source.fingerprint))
    done = headway("label", dataset, "--marks", folder, "--install")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"next: headway train sarm {dataset} --out runs/toy"
    assert open_dataset(dataset).episode(0).stages == marks.stages
    assert read_marks(folder).fingerprint == open_dataset(dataset).fingerprint
    assert headway("label", dataset, "--marks", folder, "--install").returncode == 0, "again, as it is"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--stages", "open;;pick"], "a stage has an empty name"),
        (["--stages", "open;open"], "'open' is named twice"),
        (["--port", "99999"], "--port must be from 0 to 65535"),
        (["--proposed", "nowhere"], "nowhere holds no marks"),
        (["--install"], "holds no marks"),
        (["--replace"], "--replace belongs to --install"),
        (["--cameras", "side"], "unknown camera 'side'"),
        (["--marks", "model"], "holds the marks of gvl:model"),
        (["--proposed", "other"], "frames, the marked one has 9"),
    ],
)
def test_bad_input_is_told_in_one_line(dataset, headway, options, words):
    source = open_dataset(dataset)
    write_marks(dataset.parent / "model", Marks(("open",), {}, "gvl:model", source.fingerprint))
    other = replace(marks_of(source.episode(0), None, True), length=9)
    write_marks(dataset.parent / "other", Marks(("open",), {0: other}, "gvl:model", "another"))
    done = headway("label", dataset, *options, cwd=dataset.parent)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.startswith("headway: ")
    assert done.stderr.count("\n") == 1
    assert not (dataset.parent / "marks").exists()
