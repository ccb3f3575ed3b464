import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from headway.errors import Unsupported
from headway_envs.ros.ros1.graph import RosGraph
from headway_envs.ros.ros1.process import check_ros1

if not os.environ.get("HEADWAY_LIVE"):
    collect_ignore_glob = ["test_*.py"]

PYTHON = "/usr/bin/python3"
HERE = Path(__file__).parent


@pytest.fixture(scope="session", autouse=True)
def ros1(tmp_path_factory):
    """Skips, with the reason, where there is no ROS 1; fails where HEADWAY_REQUIRE_ROS=1 says that there must be."""
    missing = [name for name in ("rosmaster", "rostopic", "rosservice", "rosnode") if not shutil.which(name)]
    reason = f"needs ROS 1 ({', '.join(missing)} missing): scripts/install_ros1.sh" if missing else ""
    try:
        check_ros1(PYTHON)
    except Unsupported as error:
        reason = str(error)
    if reason and os.environ.get("HEADWAY_REQUIRE_ROS") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_IP", "127.0.0.1")
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        yield


@pytest.fixture(scope="session")
def until():
    """Waits for a condition; how long is allowed is wide, because other jobs may share the machine."""

    def wait(condition, what="", seconds=30.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if got := condition():
                return got
            time.sleep(0.02)
        raise AssertionError(f"waited {seconds:g} s in vain {what}")

    return wait


class RosMaster:
    """A real rosmaster on a port of its own, which can be killed and started again."""

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        command = ["rosmaster", "--core", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def run(self, *command, seconds=60):
        """What a tool of ROS prints."""
        environment = {**os.environ, "ROS_MASTER_URI": self.uri}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
        return done.stdout + done.stderr


@pytest.fixture(scope="session")
def master(ros1, until):
    """Shared by the tests that leave it alone."""
    made = RosMaster()
    made.start()
    yield made
    made.kill()


@pytest.fixture
def own_master(ros1):
    """To be killed."""
    made = RosMaster()
    made.start()
    yield made
    made.kill()


class Script:
    """A script under the Python that has rospy; `heard` is what it wrote."""

    def __init__(self, master_uri, name, *arguments):
        self.heard = []
        self.process = subprocess.Popen(
            [PYTHON, str(HERE / name), *arguments],
            env={**os.environ, "ROS_MASTER_URI": master_uri},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            if line.startswith("{"):  # the rest is rospy's own
                self.heard.append(json.loads(line))

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def on(self, topic):
        return [each for each in self.heard if each.get("topic") == topic]

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def start_script(ros1):
    """Starts scripts of this folder, and ends them all."""
    started = []

    def start(master_uri, name, *arguments):
        started.append(Script(master_uri, name, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture(scope="session")
def peer(master, start_script, until):
    """The node of `peer.py`."""
    made = start_script(master.uri, "peer.py")
    until(lambda: made.heard, "for the peer")
    return made


@pytest.fixture(scope="session")
def make_graph(ros1):
    """Makes graphs, not started; `links` is what each was told about its connection."""
    made = []

    def make(uri, name="headway_test", **options):
        graph = RosGraph(uri, name, PYTHON, **options)
        graph.links = []
        graph.on_link(graph.links.append)
        made.append(graph)
        return graph

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def graph(master, make_graph, until):
    """One in the graph of `master`, shared by the tests that leave its faults alone."""
    made = make_graph(master.uri)
    made.start()
    until(lambda: made.connected, "for the graph")
    return made


@pytest.fixture
def own_graph(master, make_graph, until):
    """One in the graph of `master` that only one test has."""
    made = make_graph(master.uri, "headway_own")
    made.start()
    until(lambda: made.connected, "for the graph")
    yield made
    made.close()
