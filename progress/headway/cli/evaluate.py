"""`headway evaluate`."""

from pathlib import Path
from typing import Annotated

import tyro

from headway.cli.options import (
    CamerasOption,
    DatasetArgument,
    DeviceOption,
    EpisodesOption,
    RenameOption,
    check_device,
    default_out,
    open_source,
    parse_episodes,
)
from headway.errors import InvalidValue


def evaluate(
    dataset: DatasetArgument,
    /,
    *,
    estimators: Annotated[str, tyro.conf.arg(metavar="A,B,...")],
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    cameras: CamerasOption = "",
    rename: RenameOption = "",
    episodes: EpisodesOption = "",
    stride: int = 1,
    look_ahead: int = 0,
    stress: Annotated[str, tyro.conf.arg(metavar="A,B|all")] = "",
    device: DeviceOption = "cpu",
) -> int:
    """Tell whether estimators are right: every figure that the dataset lets one know, beside blind controls.

    Judged by the simulator's truth where the dataset has it, else by stage marks, else by success labels; with nothing
    but video it says what cannot be known. clock, constant and random are always among the estimators. Writes
    evaluation.json, evaluation.csv and evaluation.html. For example:

        headway evaluate demos/tidy --estimators sarm:runs/tidy,untrained:sarm:runs/tidy,pixels:runs/pixels
        headway evaluate demos/tidy --estimators scores/tidy-sarm-tidy --out evaluations/tidy

    Args:
        estimators: specs with commas between them, or folders of scores of this dataset
        out: folder for the results, which are replaced, and the scores, which are kept; default: evaluations/DATASET
        stride: look at every N-th frame and interpolate between
        look_ahead: frames over which gains are taken; default: 1.25 seconds
        stress: also score changed copies of 12 episodes: truncate, freeze, black, ... or all; see docs/evaluate.md
    """
    # torch and scipy take two seconds to import, which no other command should pay for
    from headway.cli.evaluation_desk import Desk
    from headway.cli.show_evaluation import show_evaluation, show_stress
    from headway.evaluation.outputs import CSV, JSON, write_evaluation
    from headway.evaluation.page import PAGE, write_page
    from headway.evaluation.run import evaluate as evaluate_scores
    from headway.evaluation.run import is_folder, named, with_controls
    from headway.evaluation.stressed import parse_stresses
    from headway.scoring import ScoreOptions
    from headway.specs import make_estimator

    check_device(device)
    if look_ahead < 0:
        raise InvalidValue(f"--look-ahead is a number of frames, got {look_ahead}")
    source = open_source(dataset, cameras, rename)
    stresses, obstacles = parse_stresses(stress, source)
    specs = named(with_controls(estimators.split(",")))
    options = ScoreOptions(parse_episodes(episodes, source.episode_indices), stride, rename=rename)
    place = out or default_out("evaluations", str(source.root))
    # all of them before the first is asked: a misspelt one should not cost the others' time
    makers = {spec: make_estimator(spec, device) for spec in specs.values() if not is_folder(spec)}
    desk = Desk(source, place / "scores", options, makers)
    if (place / JSON).exists():
        print(f"an evaluation is in {place} already; this one takes its place")
    found = evaluate_scores(source, {name: desk.plain(spec) for name, spec in specs.items()}, look_ahead or None)
    show_evaluation(found)
    asked = {name: spec for name, spec in specs.items() if not is_folder(spec)}
    confusions = {name: matrix for name, spec in asked.items() if (matrix := desk.language(spec, found)) is not None}
    # changes mean nothing to who sees nothing; the clock stands for them
    changed = {name: spec for name, spec in asked.items() if stresses and spec not in ("constant", "random")}
    stressed = {name: desk.stress(name, spec, stresses, found) for name, spec in changed.items()}
    if stressed:
        show_stress(stressed)
    write_evaluation(place, found, specs, confusions, stressed)
    page = write_page(place / PAGE, found, confusions, stressed)
    if stresses:
        obstacles += [
            f"{spec} under stress: scores do not change; name the estimator"
            for spec in specs.values()
            if is_folder(spec)
        ]
    for obstacle in obstacles:
        print(f"left out: {obstacle}")
    print(f"figures are in {place / JSON} and {place / CSV}")
    print(f"next: open {page} in a browser")
    return 0
