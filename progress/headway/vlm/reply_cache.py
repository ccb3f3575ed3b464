"""Replies kept on disk, so that no question is sent twice."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from headway.encoders.cache import cache_root
from headway.errors import OutputError
from headway.vlm.chat import Abilities, Question, Text

# seconds to wait for another process that writes
WAIT = 30
# part of every key: a change of what is kept makes what was kept before unfindable, not wrong
FORM = 1
# seconds for which it is believed what a server can do: it may be started again with other limits
DAY = 86400.0
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class ReplyCache:
    """JSON values by key in one sqlite file, which is made when it is first used.

    Several threads and processes may use it at once. It may be deleted at any time; nothing is ever thrown away.
    Not for a network file system: sqlite's write-ahead log needs memory that its users share.

    Args:
        path: of the file; sqlite puts two more beside it.
    """

    def __init__(self, path: Path):
        self.path = path

    def get(self, key: str) -> Any:
        """The value kept under a key, or None. Raises OutputError in one line where the file cannot be read."""
        with self._open() as connection:
            row = connection.execute("SELECT value FROM replies WHERE key = ?", (key,)).fetchone()
            return None if row is None else json.loads(row[0])

    def put(self, key: str, value: Any) -> None:
        """Keep a JSON value, in place of an earlier one. Raises OutputError in one line where it cannot be written."""
        text = json.dumps(value, allow_nan=False)
        with self._open() as connection:
            connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (key, text))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # a connection for each call: none is ever shared by threads, or inherited by a forked process
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)) as connection:
                if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    self._set_up(connection)
                # a power cut may take the last replies, never the file
                connection.execute("PRAGMA synchronous = NORMAL")
                yield connection
        except (sqlite3.Error, OSError, ValueError) as error:
            raise self._error(error) from error

    def _set_up(self, connection: sqlite3.Connection) -> None:
        # sqlite does not always wait where two processes change the mode of a new file at once
        with FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=WAIT):
            connection.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
            connection.execute("PRAGMA journal_mode = WAL")

    def _error(self, error: Exception) -> OutputError:
        damaged = isinstance(error, ValueError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED
        if damaged or "no such table" in str(error):
            return OutputError(
                f"the replies kept in {self.path} are damaged; delete {self.path.name}* there: it holds nothing that "
                "cannot be asked again"
            )
        reason = getattr(error, "strerror", None) or error
        return OutputError(
            f"replies cannot be kept in {self.path} ({reason}); free some space, or name another folder in "
            "HEADWAY_CACHE"
        )


@dataclass(frozen=True)
class Known:
    """What was found out of a server and a model.

    Attributes:
        abilities: None where they were not asked for yet.
        thinking: tokens that the model is given to think, beyond those of a reply.
        at: when, in seconds since 1970.
    """

    abilities: Abilities | None = None
    thinking: int = 0
    at: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def known_from_json(kept: Any) -> Known:
    """What was found out within the last day; nothing, where that is longer ago or `kept` is None."""
    if kept is None or not 0 <= time.time() - kept["at"] < DAY:
        return Known()
    abilities = kept["abilities"]
    return Known(abilities and Abilities(**abilities), kept["thinking"], kept["at"])


def default_reply_cache() -> ReplyCache:
    """The replies under `cache_root`."""
    return ReplyCache(cache_root() / "replies.sqlite")


def question_key(base_url: str, model: str, question: Question) -> str:
    """By which the reply to a question is found: everything that the reply may depend on, and never a key to a server.

    The words of the prompt and the bytes of every picture, in order, are among it.
    """
    parts = [
        {"text": part.text} if isinstance(part, Text) else {"picture": part.digest, "type": part.media_type}
        for part in question.parts
    ]
    return key_of(
        {
            "server": base_url,
            "model": model,
            "parts": parts,
            "max_tokens": question.max_tokens,
            "temperature": float(question.temperature),
            "seed": question.seed,
            "top_logprobs": question.top_logprobs,
            # as text: the order of its properties is the order of the reply
            "schema": None if question.schema is None else json.dumps(question.schema),
        }
    )


def abilities_key(base_url: str, model: str) -> str:
    """By which is found what was found out of a server: a `Known`, as JSON."""
    return key_of({"server": base_url, "model": model, "found out": True})


def key_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of canonical JSON, in hexadecimal digits."""
    text = json.dumps({"form": FORM, **content}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
