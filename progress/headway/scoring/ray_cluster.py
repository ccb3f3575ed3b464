"""Ray, started on this machine alone or found where it runs, and kept from writing to the terminal."""

import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headway.errors import InvalidValue, Unsupported
from headway.machine import cores

INSTALL = "--engine ray needs Ray: install it with `pip install 'headway[ray]'`, or use --engine local"
ENVIRONMENT = {
    # nothing is told to Ray's makers
    "RAY_USAGE_STATS_ENABLED": "0",
    # as on a laptop: all of it listens on the loopback address alone
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # without it nobody else who is logged in here can run code in our name; of itself Ray keeps one in the home folder
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    # when whoever began the run is killed, the rest ends soon after and not in a minute, seconds
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    # it announces a change of its own in how GPUs are hidden
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Of a cluster that we start ourselves."""
FOREIGN = {"RAY_gcs_server_port_wait_time_s": "2"}
"""To reach a cluster that runs already: tries, in spite of its name; Ray's own twenty take a quarter of an hour."""
QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal"}
"""For Ray's C++ half, which writes to stderr what nobody can act on."""
SHARED_MEMORY = Path("/dev/shm")
LEAST_STORE = 80 << 20
"""Bytes; Ray refuses less than 75 MiB."""
MOST_STORE = 2 << 30


@contextmanager
def cluster(address: str | None = None) -> Iterator[Any]:
    """Ray, connected; without an address to a cluster of this machine alone, which ends with the block.

    A process that is connected already stays so. Raises Unsupported where Ray is missing or cannot be reached.
    """
    if _loaded() and sys.modules["ray"].is_initialized():
        yield _import_ray()
    elif address is None:
        with _own_cluster() as ray:
            yield ray
    else:
        ray = _import_ray()
        _knock(address)
        with _environment(FOREIGN), _connected(ray, address):
            yield ray


@contextmanager
def _own_cluster() -> Iterator[Any]:
    ray = _import_ray()
    # the paths of its sockets may have no more than 107 bytes, which rules out most temporary folders but this
    with (
        _environment(ENVIRONMENT),
        _on_loopback(),
        tempfile.TemporaryDirectory(prefix="headway-ray-", dir="/tmp", ignore_cleanup_errors=True) as folder,
    ):
        # a decoder beside what judges, even where that uses every core
        count = max(cores(), threads_here() + 1)
        with _connected(
            ray, "local", num_cpus=count, object_store_memory=_store(), include_dashboard=False, _temp_dir=folder
        ):
            yield ray


@contextmanager
def _on_loopback() -> Iterator[None]:
    """This process, too, goes by the loopback address: it read the variable when ray was first imported."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _knock(address: str) -> None:
    """Raises Unsupported at once where nobody listens, InvalidValue for what is no address; Ray would take a minute."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or "/" in host or not port.isdecimal():
        raise InvalidValue(f"a Ray cluster is HOST:PORT, as `ray start --head` prints it, or auto; got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise Unsupported(f"no Ray cluster can be reached at {address} ({error}); see whether it runs") from None


@contextmanager
def _connected(ray: Any, address: str, **settings: Any) -> Iterator[None]:
    with _environment(QUIET):
        try:
            with _no_stderr():
                ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **settings)
            # that a process died and is started again is told on stdout all the same
            ray._private.worker._worker_logs_enabled = False
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            where = "started here" if address == "local" else f"reached at {address}"
            hint = "use --engine local" if address == "local" else "see whether `ray status` knows it"
            raise Unsupported(f"Ray cannot be {where} ({first_line(error)}); {hint}") from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Nothing gets onto the terminal, not even from Ray's C++ half, which announces that it will be quiet."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _import_ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise Unsupported(INSTALL) from error
    return ray


def _loaded() -> bool:
    return hasattr(sys.modules.get("ray"), "is_initialized")


def threads_here() -> int:
    import torch

    return torch.get_num_threads()


def _store() -> int:
    """Bytes of shared memory: a sixteenth of the machine's, and at most half of what its file system has."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 16
    room = shutil.disk_usage(SHARED_MEMORY).free // 2 if SHARED_MEMORY.exists() else memory
    return max(LEAST_STORE, min(memory, room, MOST_STORE))


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Ray's environment variables, as they were afterwards: it sets some itself."""
    before = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    os.environ.update(values)
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            del os.environ[name]
        os.environ.update(before)
