"""The node: does what the frames say, and says what the graph does."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from .frames import DEPTH, FrameError, Mailbox, encode, receive, send
from .master import Master, MasterError
from .values import Refused, build, plain

MOST_CALLS = 32
"""Services that may be waiting for an answer at a time."""
LEAVING = 1.0
"""Seconds that the node may take to finish what it was asked and to tell the master that it goes."""
POLL = 0.25
"""Seconds between looks at the master; twice in a row without an answer, it counts as gone."""
TOO_LATE = 0.5
"""Seconds after which a message is no longer published: no arm may move by a command that was stuck on its way."""


class Node:
    """Runs as a script only; needs rospy."""

    def __init__(self, intake: BinaryIO, outlet: BinaryIO):
        self._intake, self._outlet = intake, outlet
        self._out, self._in = Mailbox(), Mailbox()
        self._busy_since = 0.0
        self._subscribers: dict[str, Any] = {}
        self._publishers: dict[str, tuple[Any, bool, int]] = {}
        self._services: dict[str, Any] = {}
        self._asked: dict[int, tuple[threading.Event, list[dict[str, Any]]]] = {}
        self._calls = threading.Semaphore(MOST_CALLS)
        self._numbers = itertools.count(1)
        self._work: dict[str, Callable[[dict[str, Any]], None]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "advertise": self._advertise,
            "publish": self._publish,
            "serve": self._serve,
        }

    def run(self) -> None:
        """Until the input ends, or the graph is lost."""
        threading.Thread(target=self._write, daemon=True).start()
        hello = receive(self._intake)
        if hello is None:
            return
        worker = threading.Thread(target=self._join, args=(hello[0]["name"], hello[0]["master_uri"]), daemon=True)
        worker.start()
        while True:
            try:
                got = receive(self._intake)
            except FrameError as error:
                self._fault("not a message", str(error))
                continue
            if got is None:
                break
            self._take(got[0])
        self._in.close()
        worker.join(LEAVING)

    def _take(self, frame: dict[str, Any]) -> None:
        op = frame["op"]
        if op == "ping":
            since = self._busy_since
            self._tell("pong", busy=time.monotonic() - since if since else 0.0)
        elif op == "answered":
            waiting = self._asked.get(frame["id"])
            if waiting is not None:
                waiting[1].append(frame)
                waiting[0].set()
        elif op == "call":
            threading.Thread(target=self._call, args=(frame,), daemon=True).start()
        elif op == "publish":
            known = self._publishers.get(frame["topic"])
            self._in.put(frame, frame["topic"], known[2] if known else 1)
        else:
            self._in.put(frame)

    def _tell(self, op: str, **values: Any) -> None:
        self._out.put({"op": op, **values})

    def _fault(self, reason: str, line: str) -> None:
        self._out.put({"op": "fault", "reason": reason, "line": " ".join(line.split())[:500]}, "", DEPTH)

    def _write(self) -> None:
        """Messages are made into frames only when their turn has come: those that are dropped cost nothing."""
        while True:
            item = self._out.take()
            try:
                send(self._outlet, encode(item if isinstance(item, dict) else self._read(*item)))
            except OSError:
                os._exit(0)
            except Exception as error:  # noqa: BLE001 (without this thread the node is dumb)
                self._fault("not a message", str(error))
            if isinstance(item, dict) and item["op"] == "lost":
                os._exit(0)

    # the graph

    def _join(self, name: str, master_uri: str) -> None:
        """Wait for the master, become a node, and then do what is asked, one thing after another."""
        master = self._master = Master(master_uri, f"/{name}")
        while not self._is_there(master):
            time.sleep(POLL)
        self._busy_since = time.monotonic()
        import rospy

        rospy.init_node(name, argv=[name], disable_signals=True, disable_rosout=True, disable_rostime=True)
        # added last, so that it is called when rospy has told the master that the node goes
        rospy.core.add_shutdown_hook(lambda reason: self._tell("lost", why=str(reason)))
        self._busy_since = 0.0
        self._tell("up")
        threading.Thread(target=self._watch, args=(f"/{name}",), daemon=True).start()
        while (frame := self._in.take()) is not None:
            self._busy_since = time.monotonic()
            try:
                self._work[frame["op"]](frame)
            except Exception as error:  # noqa: BLE001 (rospy raises whatever it likes, and the node has to live on)
                reason = error.reason if isinstance(error, Refused) else "refused"
                self._fault(reason, f"{frame.get('topic') or frame.get('service')}: {error}")
            self._busy_since = 0.0
        rospy.signal_shutdown("closed")

    @staticmethod
    def _is_there(master: Master) -> bool:
        with contextlib.suppress(MasterError, LookupError):
            master.ask("getPid")
            return True
        return False

    def _watch(self, name: str) -> None:
        """rospy never tells that the master has died, or that one that knows nothing of us took its place."""
        import rospy

        silent = 0
        while True:
            time.sleep(POLL)
            try:
                known = self._master.ask("lookupNode", name)
            except LookupError:
                self._tell("lost", why="the ROS master no longer knows this node")
                return
            except MasterError as error:
                silent += 1
                if silent > 1:
                    self._tell("lost", why=str(error))
                    return
                continue
            silent = 0
            if known != rospy.get_node_uri():
                self._tell("lost", why="new node registered with same name")
                return

    def _class(self, kind: str) -> Any:
        import genpy
        import roslib.message

        if kind in ("time", "duration"):
            return genpy.Time if kind == "time" else genpy.Duration
        return self._found(roslib.message.get_message_class, kind, "message")

    @staticmethod
    def _found(find: Callable[[str], Any], kind: str, what: str) -> Any:
        try:
            found = find(kind)
        except Exception as error:  # noqa: BLE001 (a package that is half built can raise anything on import)
            raise Refused("unknown type", f"{kind} cannot be loaded: {error}") from None
        if found is None:
            raise Refused("unknown type", f"there is no {what} type {kind} on this machine; is its package installed?")
        return found

    # topics

    def _subscribe(self, frame: dict[str, Any]) -> None:
        import rospy

        topic, kind = frame["topic"], frame["kind"]
        found = self._class(kind)
        self._unsubscribe(frame)
        newest_only = "uint8[]" in found._slot_types
        self._subscribers[topic] = rospy.Subscriber(
            topic,
            found,
            lambda message: self._arrived(topic, kind, message, 1 if newest_only else DEPTH),
            queue_size=1 if newest_only else DEPTH,
            buff_size=2**24 if newest_only else 2**16,
            tcp_nodelay=True,
        )

    def _unsubscribe(self, frame: dict[str, Any]) -> None:
        subscriber = self._subscribers.pop(frame["topic"], None)
        if subscriber is not None:
            subscriber.unregister()

    def _arrived(self, topic: str, kind: str, message: Any, depth: int) -> None:
        self._out.put((topic, kind, message, time.monotonic()), topic, depth)

    @staticmethod
    def _read(topic: str, kind: str, message: Any, arrived: float) -> dict[str, Any]:
        latched = (getattr(message, "_connection_header", None) or {}).get("latching") == "1"
        head = {"op": "message", "topic": topic, "kind": kind, "time": arrived, "latched": latched}
        return {**head, "message": plain(message)}

    def _advertise(self, frame: dict[str, Any]) -> None:
        import rospy

        found = self._class(frame["kind"])
        depth = 1 if "uint8[]" in found._slot_types else DEPTH
        publisher = rospy.Publisher(frame["topic"], found, latch=frame["latch"], queue_size=depth, tcp_nodelay=True)
        self._publishers[frame["topic"]] = publisher, frame["latch"], depth

    def _publish(self, frame: dict[str, Any]) -> None:
        topic = frame["topic"]
        if topic not in self._publishers:
            raise Refused("not advertised", "a message cannot be published, because the topic's type was refused")
        publisher, latch, _ = self._publishers[topic]
        late = time.monotonic() - frame["time"]
        if late > TOO_LATE and not latch:
            raise Refused("too late", f"a message was stuck for {late:.1f} s and is not published any more")
        publisher.publish(build(publisher.data_class, frame["message"], self._class))

    # services

    def _serve(self, frame: dict[str, Any]) -> None:
        import roslib.message
        import rospy

        name = frame["service"]
        found = self._found(roslib.message.get_service_class, frame["kind"], "service")
        if name in self._services:
            self._services.pop(name).shutdown("answered anew")
        self._services[name] = rospy.Service(
            name, found, lambda request: self._ask(name, request, found._response_class, frame["seconds"])
        )

    def _ask(self, name: str, request: Any, response: type, seconds: float) -> Any:
        import rospy

        answers: list[dict[str, Any]] = []
        number, done = next(self._numbers), threading.Event()
        if len(self._asked) >= MOST_CALLS:
            raise rospy.ServiceException(f"{name} is asked too often at a time")
        self._asked[number] = done, answers
        try:
            self._tell("asked", id=number, service=name, arguments=plain(request))
            if not done.wait(seconds):
                raise rospy.ServiceException(f"{name} did not answer within {seconds:g} s")
        finally:
            del self._asked[number]
        if "error" in answers[0]:
            raise rospy.ServiceException(answers[0]["error"])
        try:
            return build(response, answers[0]["values"], self._class)
        except Refused as error:
            self._fault(error.reason, f"the answer of {name}: {error}")
            raise rospy.ServiceException(str(error)) from None

    def _call(self, frame: dict[str, Any]) -> None:
        if not self._calls.acquire(blocking=False):
            self._tell("called", id=frame["id"], error="too many services are being asked at a time")
            return
        try:
            self._tell("called", id=frame["id"], values=self._answer_of(frame))
        except Exception as error:  # noqa: BLE001 (whatever rospy raises is why the call failed)
            self._tell("called", id=frame["id"], error=" ".join(str(error).split())[:500])
        finally:
            self._calls.release()

    def _answer_of(self, frame: dict[str, Any]) -> dict[str, Any]:
        import roslib.message
        import rospy

        name, seconds = frame["service"], frame["timeout"]
        try:
            kind = self._master.service_type(name, seconds)
        except LookupError:
            raise Refused("no service", f"Service {name} does not exist") from None
        if frame["kind"] not in ("", kind):
            raise Refused("wrong type", f"{name} is a {kind}, not a {frame['kind']}")
        found = self._found(roslib.message.get_service_class, kind, "service")
        request = build(found._request_class, frame["arguments"], self._class)
        proxy = rospy.ServiceProxy(name, found, persistent=True)
        # rospy would wait for ever for a service that hangs
        cut = threading.Timer(seconds, lambda: proxy.transport and proxy.transport.socket.shutdown(socket.SHUT_RDWR))
        cut.daemon = True
        cut.start()
        try:
            return plain(proxy.call(request))
        finally:
            cut.cancel()
            proxy.close()


def main() -> None:
    # what ROS prints must not end up among the frames
    intake, outlet = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    Node(intake, outlet).run()
    os._exit(0)
