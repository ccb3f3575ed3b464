"""`headway replay`."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from headway.cli.options import check_device
from headway.errors import InvalidValue, Unsupported

if TYPE_CHECKING:
    from headway_envs.ros.recording.records import Header
    from headway_envs.ros.recording.replay import Outcome

SHOWN = 300


def replay(
    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.mcap")],
    *,
    estimator: Annotated[str, tyro.conf.arg(metavar="SPEC")] = "",
    curve: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None,
    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = "",
) -> int:
    """Live through a recording of headway bridge once more: does the same come out, bit for bit?

    Exit status 0 only when every view, reading and message is the same. For example:

        headway replay run.mcap

    Args:
        file: what headway bridge --out wrote; one that was cut off is replayed up to the cut
        estimator: another one than the recorded, to see what it would have said; it need not say the same
        curve: write the readings as a table: time, progress, reward, success, state
        device: cpu, cuda or cuda:N; default: the recorded one
    """
    try:
        import rosbags.highlevel  # noqa: F401

        from headway_envs.ros.recording.replay import recording_header
        from headway_envs.ros.recording.replay import replay as live_again
    except ModuleNotFoundError as error:
        raise Unsupported(f"replaying needs {error.name}: pip install 'headway[ros]'") from error
    import torch

    from headway.specs import make_estimator

    header = recording_header(file)
    # sums come out differently with another number of threads
    torch.set_num_threads(header.threads)
    made = make_estimator(estimator or header.estimator, check_device(device or header.device))
    if not estimator and made.fingerprint != header.fingerprint:
        raise InvalidValue(
            f"{file} was recorded with {header.estimator} of fingerprint {header.fingerprint}, which is now "
            f"{made.fingerprint}; say where the recorded one is with --estimator, or give another one to see it differ"
        )
    outcome = live_again(file, made)
    if curve is not None:
        _write_curve(curve, outcome)
    _show(file, header, outcome)
    return 0 if outcome.identical else 1


def _show(file: Path, header: "Header", outcome: "Outcome") -> None:
    rows = {
        "estimator": header.model,
        "events": str(outcome.events),
        "pictures": str(outcome.pictures),
        "views": str(outcome.views),
        "readings": str(outcome.readings),
        "messages": str(outcome.messages),
        "identical": "yes" if outcome.identical else "no",
    }
    if outcome.policy:
        rows["policy"] = f"{outcome.policy}, not run again: its commands are taken as recorded"
    if outcome.cut:
        rows["cut off"] = "the recording lacks its end; this is all that is there"
    if outcome.incomplete:
        rows["incomplete"] = outcome.incomplete
    if outcome.differing:
        mean, largest = outcome.progress_off
        rows["differing"] = f"{outcome.differing}; progress by {mean:.3g} on average, {largest:.3g} at most"
    print(f"replay of {file}")
    for name, text in rows.items():
        print(f"  {name:<11}{text}")
    if outcome.first is not None:
        first = outcome.first
        print(f"  first at {first.time:.6f} s, {first.what}")
        print(f"    recorded {_short(first.recorded)}")
        print(f"    replayed {_short(first.replayed)}")
    _show_versions(header, outcome)


def _show_versions(header: "Header", outcome: "Outcome") -> None:
    """What may be the reason where something differs."""
    from headway_envs.ros.recording.recorder import versions

    now = versions()
    others = [
        f"{name} {old} then, {now.get(name)} now" for name, old in header.versions.items() if now.get(name) != old
    ]
    if outcome.differing and others:
        print(f"  versions   {'; '.join(others)}")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def _write_curve(path: Path, outcome: "Outcome") -> None:
    from headway.files import replacing

    with replacing(path) as beside, beside.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "progress", "reward", "success", "state"])
        writer.writerows([one.time, one.progress, one.reward, one.success, one.state] for one in outcome.curve)
