import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway
from headway.errors import OutputError
from headway.vlm.chat import Picture, Question, Reply, Text, Token, Usage
from headway.vlm.reply_cache import ReplyCache, abilities_key, default_reply_cache, question_key
from headway.vlm.wire import reply_from_json, reply_to_json

URL = "http://localhost:8000/v1"
QUESTION = Question(
    (Text("how far?"), Picture(b"one", 32, 32), Picture(b"two", 32, 32)), seed=1, schema={"a": 1, "b": 2}
)

WRITER = """
import sys, threading
from pathlib import Path
from headway.vlm.reply_cache import ReplyCache

def write(thread):
    cache = ReplyCache(Path(sys.argv[1]))
    for number in range(50):
        cache.put(f"{sys.argv[2]}-{thread}-{number}", [number])
        cache.put("shared", [number])
        assert cache.get(f"{sys.argv[2]}-{thread}-{number}") == [number]

print("ready", flush=True)
input()
threads = [threading.Thread(target=write, args=(thread,)) for thread in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_what_was_put_is_found_by_another_that_opens_the_file(tmp_path):
    path = tmp_path / "new" / "replies.sqlite"
    ReplyCache(path).put("key", {"text": "ü", "tokens": [["a", -0.5, []]]})
    assert ReplyCache(path).get("key") == {"text": "ü", "tokens": [["a", -0.5, []]]}
    assert ReplyCache(path).get("other") is None
    ReplyCache(path).put("key", "later")
    assert ReplyCache(path).get("key") == "later"


def test_processes_and_their_threads_write_at_the_same_time(tmp_path):
    path = tmp_path / "new" / "replies.sqlite"
    places = str(Path(headway.__file__).parents[1])
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, name],
            env={"PYTHONPATH": places, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("left", "right")
    ]
    # both are let go when both are ready: they make the file at the same time
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.communicate(timeout=60)[1] == ""
    cache = ReplyCache(path)
    for name in ("left", "right"):
        for thread in range(3):
            assert [cache.get(f"{name}-{thread}-{number}") for number in range(50)] == [[n] for n in range(50)]


@pytest.mark.parametrize("content", [b"this is no database", b"SQLite format 3\0" + bytes(range(256)) * 40])
def test_a_damaged_file_is_named_in_one_line_and_left_alone(tmp_path, content):
    path = tmp_path / "replies.sqlite"
    path.write_bytes(content)
    with pytest.raises(OutputError) as caught:
        ReplyCache(path).get("key")
    assert str(path) in str(caught.value)
    assert "delete" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_value_that_is_no_json_counts_as_damage(tmp_path):
    path = tmp_path / "replies.sqlite"
    ReplyCache(path).put("key", 1)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE replies SET value = '{'")
    connection.close()
    with pytest.raises(OutputError, match="damaged"):
        ReplyCache(path).get("key")


def test_a_folder_that_cannot_be_made_is_an_error_of_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="HEADWAY_CACHE"):
        ReplyCache(tmp_path / "file" / "replies.sqlite").put("key", 1)


def test_the_file_may_be_deleted_while_it_is_in_use(tmp_path):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    cache.put("key", 1)
    for path in tmp_path.iterdir():
        path.unlink()
    assert cache.get("key") is None
    cache.put("key", 2)
    assert cache.get("key") == 2


def test_it_lies_in_the_chosen_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWAY_CACHE", str(tmp_path))
    assert default_reply_cache().path == tmp_path / "replies.sqlite"


OTHERS = {
    "words": replace(QUESTION, parts=(Text("how far!"), *QUESTION.parts[1:])),
    "pixels": replace(QUESTION, parts=(*QUESTION.parts[:2], Picture(b"too", 32, 32))),
    "order": replace(QUESTION, parts=(QUESTION.parts[0], QUESTION.parts[2], QUESTION.parts[1])),
    "media type": replace(QUESTION, parts=(*QUESTION.parts[:2], Picture(b"two", 32, 32, "image/jpeg"))),
    "max_tokens": replace(QUESTION, max_tokens=7),
    "temperature": replace(QUESTION, temperature=0.5),
    "seed": replace(QUESTION, seed=2),
    "no seed": replace(QUESTION, seed=None),
    "top_logprobs": replace(QUESTION, top_logprobs=5),
    "schema": replace(QUESTION, schema={"a": 1, "b": 3}),
    "order of the schema": replace(QUESTION, schema={"b": 2, "a": 1}),
    "no schema": replace(QUESTION, schema=None),
}


@pytest.mark.parametrize("what", OTHERS)
def test_whatever_a_reply_depends_on_is_in_its_key(what):
    assert question_key(URL, "m", OTHERS[what]) != question_key(URL, "m", QUESTION)


def test_a_key_depends_on_the_server_and_the_model_and_on_nothing_else():
    same = replace(QUESTION, parts=(Text("how far?"), Picture(b"one", 32, 32), Picture(b"two", 32, 32)), temperature=0)
    keys = {question_key(URL, "m", QUESTION), question_key(URL, "n", QUESTION), question_key(URL + "1", "m", QUESTION)}
    assert len(keys) == 3
    assert question_key(URL, "m", same) in keys
    assert len({abilities_key(URL, "m"), abilities_key(URL, "n"), abilities_key(URL + "1", "m")} | keys) == 6


numbers = st.floats(max_value=0, allow_infinity=False)


@given(
    st.text(),
    st.sampled_from(["stop", "length", "refusal"]),
    st.lists(st.tuples(st.text(), numbers, st.lists(st.tuples(st.text(), numbers)))),
)
def test_a_reply_comes_back_from_the_cache_as_it_went_in(text, finish, tokens):
    reply = Reply(text, finish, tuple(Token(word, score, tuple(others)) for word, score, others in tokens))
    kept = json.loads(json.dumps(reply_to_json(reply), allow_nan=False))
    assert reply_from_json(kept) == replace(reply, usage=Usage(cache_hits=1))
