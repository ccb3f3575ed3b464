"""`headway label`."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import tyro
from filelock import FileLock, Timeout

from headway.cli.options import CamerasOption, DatasetArgument, default_out, open_source
from headway.errors import InvalidValue, OutputError
from headway.files import make_folder
from headway.label.marks import PERSON, Marks, check_names
from headway.source import Source


def label(
    dataset: DatasetArgument,
    /,
    *,
    stages: Annotated[str, tyro.conf.arg(metavar="A;B;C")] = "",
    marks: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    proposed: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    cameras: CamerasOption = "",
    port: int = 8000,
    install: bool = False,
    replace: bool = False,
) -> int:
    """Mark stages and success by hand, with the keyboard, on a page that this machine serves to itself.

    Marks are kept in a folder of their own; the dataset is only read, but for --install. For example:

        headway label demos/drawer --stages "open;pick;place"

    Args:
        stages: what the task consists of, in order; default: those marked before, proposed, or of the dataset
        marks: folder of the marks, begun or gone on with; default: marks/DATASET
        proposed: marks that a model made (headway annotate), to be corrected here; success it says nothing of begins as
            the dataset has it
        port: of the page, on this machine only; 0 takes any that is free
        install: instead of the page, write the marks into a LeRobot dataset's own columns, where lerobot finds them
        replace: with --install: also over stages and success that somebody else put there
    """
    from headway.label.desk import Desk
    from headway.label.server import serve
    from headway.local_page import HOST, listen
    from headway_datasets.marks import with_marks, write_marks

    source = open_source(dataset, cameras)
    folder = marks or default_out("marks", str(source.root.resolve()))
    if install:
        return _install(dataset, source, folder, replace, stages)
    if replace:
        raise InvalidValue("--replace belongs to --install")
    proposal = _read(proposed, source) if proposed else None
    begun = _begin(folder, source, stages, proposal)

    def save(fresh: Marks) -> None:
        with _remedy("choose another place with --marks"):
            write_marks(folder, fresh)

    try:
        with listen(port) as own, _lock(folder):
            # a place that cannot be written is told of before any work is done
            save(begun)
            desk = Desk(source, begun, proposal, save)
            print(f"open http://{HOST}:{own.getsockname()[1]}/ in a browser; Ctrl-C here ends")
            print(f"marks go to {folder}, each as it is made: {_count(begun, source)}", flush=True)
            serve(desk, own)
    except Timeout:
        raise OutputError(f"another headway label is marking in {folder}; end it or name another --marks") from None
    print(f"\nmarks are in {folder}: {_count(desk.marks, source)}")
    if not desk.marks.episodes:
        again = ["--marks", folder, *(["--proposed", proposed] if proposed else [])]
        print(f"nothing is marked yet; go on with: {_command('label', dataset, *again)}")
        return 0
    _tell_next(with_marks(source, desk.marks), dataset, "--marks", folder)
    return 0


def _tell_next(source: Source, dataset: str, *options: object) -> None:
    """What can be trained on a dataset as it is marked."""
    estimator = "sarm"
    if source.stage_names is None:
        estimator = "heads"
        print("success is marked but no stages, so heads and classifier can learn from this; sarm needs stages")
    out = f"runs/{source.root.name}"
    print(f"next: {_command('train', estimator, dataset, *options, '--out', out)}")


def _command(*words: object) -> str:
    return shlex.join(["headway", *map(str, words)])


@contextmanager
def _remedy(words: str) -> Iterator[None]:
    """`label` has no --out, which errors of writing name."""
    try:
        yield
    except OutputError as error:
        raise OutputError(str(error).replace("choose another place with --out", words)) from error


def _lock(folder: Path) -> FileLock:
    """Two who mark into one folder would write over each other."""
    with _remedy("choose another place with --marks"):
        make_folder(folder)
    return FileLock(folder / ".lock", timeout=0)


def _begin(folder: Path, source: Source, stages: str, proposal: Marks | None) -> Marks:
    """The marks in `folder` or none yet, with the stages to choose from."""
    from headway_datasets.marks import ABOUT

    kept = _read(folder, source) if (folder / ABOUT).exists() else Marks((), {}, PERSON, source.fingerprint)
    if kept.made_by != PERSON:
        raise OutputError(
            f"{folder} holds the marks of {kept.made_by}; see them with --proposed {folder}, and name another --marks"
        )
    given = tuple(part.strip() for part in stages.split(";")) if stages.strip() else ()
    check_names(given)
    proposed = proposal.stage_names if proposal else ()
    first = given or kept.stage_names or proposed or source.stage_names or ()
    # what is marked already is never lost, whatever stages are named now
    used = dict.fromkeys(stage.name for each in kept.episodes.values() for stage in each.stages or ())
    names = tuple(dict.fromkeys([*first, *used, *proposed]))
    if not names:
        print('no stages are named, so only success can be marked; name some with --stages "open;pick;place"')
    return Marks(names, kept.episodes, PERSON, source.fingerprint)


def _install(dataset: str, source: Source, folder: Path, replace: bool, stages: str) -> int:
    from headway_datasets.installed_marks import install_marks
    from headway_datasets.marks import read_marks, with_marks, write_marks

    if stages:
        raise InvalidValue("--install writes marks that are there already; leave --stages out")
    marks = read_marks(folder)
    with _remedy("allow writing there, or leave the marks in their folder"):
        installed = install_marks(marks, source, replace)
    with _remedy("choose another place with --marks"):
        write_marks(folder, installed)
    print(f"{source.root} holds the marks of {folder} now: {_count(marks, source)}")
    if marks.episodes:
        _tell_next(with_marks(source, marks), dataset)
    else:
        print(f"nothing is marked yet; go on with: {_command('label', dataset, '--marks', folder)}")
    return 0


def _read(folder: Path, source: Source) -> Marks:
    """Marks of this very dataset. Raises DatasetError for others."""
    from headway_datasets.marks import check_same, read_marks, with_marks

    marks = read_marks(folder)
    with_marks(source, marks)
    for index, each in marks.episodes.items():
        check_same(source.episode(index), each, marks.fingerprint == source.fingerprint)
    return marks


def _count(marks: Marks, source: Source) -> str:
    return f"{len(marks.episodes)} of {len(source)} episodes marked"
