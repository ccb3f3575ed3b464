"""Stage annotation of both granularities against lerobot's own SARM: it trains on ours, and its own we read.

CLIP, by which SARM's processor looks at pictures, is left out: its weights are a download, and no target depends on it.
"""

import numpy as np
import pytest
import torch

from headway.annotation import mean_proportions
from headway.episodes import Stage
from headway_datasets.lerobot_v3 import LeRobotV3
from headway_datasets.lerobot_writer import write_dataset

PARTS = ("subtask_names", "temporal_proportions")
COARSE, FINE = ("open", "pick"), ("reach", "grip", "pull", "lift")
# seconds at 10 frames per second; the pace differs, so that a scale of summed lengths would be another one
ENDS = ((1, 2, 5, 6), (1, 4, 7, 9), (2, 3, 4, 8))


@pytest.fixture(scope="module")
def annotator(lerobot):
    return pytest.importorskip("lerobot.data_processing.sarm_annotations.subtask_annotation")


def marks(names, ends, fps=10):
    starts = (0, *ends[:-1])
    return tuple(Stage(name, start * fps, end * fps) for name, start, end in zip(names, starts, ends, strict=True))


@pytest.fixture(scope="module")
def root(tmp_path_factory, episode):
    """Three marked episodes and one that nobody marked."""
    episodes = [
        episode(index, 10 * ends[-1], stages=marks(COARSE, ends[1::2]), dense_stages=marks(FINE, ends), truth=None)
        for index, ends in enumerate(ENDS)
    ]
    root = tmp_path_factory.mktemp("sarm") / "data"
    write_dataset(root, [*episodes, episode(3, stages=None, truth=None)])
    return root


@pytest.fixture(scope="module")
def meta(lerobot, root):
    return lerobot.LeRobotDataset("local/test", root=root, video_backend="pyav").meta


@pytest.fixture(scope="module")
def sarm(meta):
    """lerobot's SARM with both heads, which takes its stages and their shares from our files on being made."""
    from lerobot.rewards.sarm.configuration_sarm import SARMConfig
    from lerobot.rewards.sarm.modeling_sarm import SARMRewardModel

    size = {"hidden_dim": 24, "num_heads": 2, "num_layers": 1, "frame_gap": 4, "device": "cpu"}
    return SARMRewardModel(SARMConfig(annotation_mode="dual", **size), dataset_meta=meta)


def test_lerobot_opens_it_and_sees_both_annotations(meta):
    row = meta.episodes[1]
    assert row["dense_subtask_names"] == list(FINE)
    assert row["dense_subtask_start_frames"] == [0, 10, 40, 70]
    assert row["dense_subtask_end_frames"] == [10, 40, 70, 90]
    assert row["dense_subtask_start_times"] == [0, 1, 4, 7]
    assert row["dense_subtask_end_times"] == [1, 4, 7, 9]
    assert row["sparse_subtask_end_frames"] == [40, 90]
    assert meta.episodes[3]["dense_subtask_names"] is None


@pytest.mark.parametrize(("granularity", "names"), [("sparse", COARSE), ("dense", FINE)])
def test_lerobots_annotator_loads_what_we_write_and_finds_our_proportions(annotator, root, granularity, names):
    theirs = annotator.load_annotations_from_dataset(root, granularity)
    assert sorted(theirs) == [0, 1, 2]
    ends = [[int(mark.timestamps.end[-2:]) for mark in theirs[index].subtasks] for index in sorted(theirs)]
    assert ends == [list(each[1::2] if granularity == "sparse" else each) for each in ENDS]
    ours = mean_proportions([marks(names, each) for each in ends], names)
    assert annotator.compute_temporal_proportions(theirs) == pytest.approx(dict(zip(names, ours, strict=True)))


def test_sarm_takes_its_stages_and_their_shares_from_our_files(sarm):
    shares = np.mean([np.diff([0, *ends]) / ends[-1] for ends in ENDS], axis=0)
    assert sarm.config.sparse_subtask_names == list(COARSE)
    assert (sarm.config.num_dense_stages, sarm.config.dense_subtask_names) == (4, list(FINE))
    assert sarm.config.dense_temporal_proportions == pytest.approx(shares)


@pytest.fixture
def processor(sarm, meta):
    """lerobot's processor for training, as its constructor leaves it but for CLIP."""
    from lerobot.rewards.sarm.processor_sarm import SARMEncodingProcessorStep

    step = object.__new__(SARMEncodingProcessorStep)
    step.config, step.dataset_meta = sarm.config, meta
    for granularity in ("sparse", "dense"):
        names, shares = (getattr(sarm.config, f"{granularity}_{part}") for part in PARTS)
        setattr(step, f"{granularity}_subtask_names", names)
        setattr(step, f"{granularity}_temporal_proportions", dict(zip(names, shares, strict=True)))
    return step


@pytest.mark.parametrize(("granularity", "names"), [("sparse", COARSE), ("dense", FINE)])
def test_sarm_makes_its_training_targets_from_our_marks(processor, meta, root, caplog, granularity, names):
    from lerobot.rewards.sarm.sarm_utils import compute_absolute_indices

    processor._validate_annotation_columns()
    assert f"SARM {granularity} head: 1/4 episodes have unusable annotations" in caplog.text, "the unmarked one"
    compared = 0
    for found in list(LeRobotV3(root))[:3]:
        stages = found.stages if granularity == "sparse" else found.dense_stages
        end = found.first_frame + len(found)
        for frame in range(found.first_frame, end, 7):
            lengths, rewound = torch.tensor([9]), torch.tensor([0])
            table = meta.episodes.to_pandas()
            given = processor._compute_batch_targets(
                np.array([frame]), np.array([found.index]), lengths, rewound, table, granularity
            )
            looked_at, _ = compute_absolute_indices(frame, found.first_frame, end, 8, frame_gap=4)
            expected = [stage_and_share(at - found.first_frame, stages, names) for at in looked_at.tolist()]
            assert given[0, :9].numpy() == pytest.approx(expected, abs=1e-5)
            compared += len(set(expected))
    assert compared > 200


def stage_and_share(frame, stages, names):
    """Stage number plus tau; at a shared end lerobot counts the stage that ends."""
    stage = next(stage for stage in stages if stage.start <= frame <= stage.end)
    return names.index(stage.name) + (frame - stage.start) / (stage.end - stage.start)


def test_what_lerobots_annotator_saves_is_read(annotator, episode, tmp_path):
    write_dataset(tmp_path / "data", [episode(index, 60, stages=None, truth=None) for index in range(2)])
    made = annotator.SubtaskAnnotation(
        subtasks=[
            annotator.Subtask(name=name, timestamps=annotator.Timestamp(start=f"00:0{start}", end=f"00:0{end}"))
            for name, start, end in zip(FINE, (0, 1, 2, 5), ENDS[0], strict=True)
        ]
    )
    annotator.save_annotations_to_dataset(tmp_path / "data", {1: made}, 10, prefix="dense")
    source = LeRobotV3(tmp_path / "data")
    assert [found.dense_stages for found in source] == [None, marks(FINE, ENDS[0])]
    assert [found.stages for found in source] == [None, None]
    assert (source.stage_names, source.dense_stage_names) == (None, FINE)
