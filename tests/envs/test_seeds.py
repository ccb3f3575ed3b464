import itertools

import pytest

from headway.errors import InvalidValue, UnknownName
from headway_envs.seeds import SPAN, SPLITS, UNSEEN, collection_seeds, find_split, split_seeds, unseen_seeds
from headway_envs.variation import LEVELS, look


def test_two_collections_share_no_seed():
    spans = [set(collection_seeds(seed, SPAN)) for seed in (0, 1, 2)]
    assert all(len(span) == SPAN for span in spans)
    assert not any(a & b for a, b in itertools.combinations(spans, 2))


def test_splits_share_no_seed_with_each_other_nor_with_collections_nor_with_unseen_layouts():
    last_collected = collection_seeds(UNSEEN // SPAN - 1, SPAN)[-1]
    last_unseen = unseen_seeds(1, start=min(split.seeds[0] for split in SPLITS.values()) - UNSEEN - 1)[-1]
    in_order = sorted((split.seeds for split in SPLITS.values()), key=lambda seeds: seeds[0])
    assert last_collected < unseen_seeds(1)[0] < last_unseen < in_order[0][0]
    for before, after in itertools.pairwise(in_order):
        assert before[-1] < after[0]


def test_unseen_seeds_end_where_the_splits_begin():
    first = min(split.seeds[0] for split in SPLITS.values())
    with pytest.raises(InvalidValue, match="unseen seeds"):
        unseen_seeds(2, start=first - UNSEEN - 1)


def test_a_split_gives_its_first_seeds_in_order_and_they_never_change():
    assert list(SPLITS) == ["train", "validation", "test", "test-ood"]
    assert list(split_seeds("train", 2)) == [2**48, 2**48 + 1]
    assert list(split_seeds("test-ood", 2)) == [2**48 + 3 * 2**40, 2**48 + 3 * 2**40 + 1]
    assert split_seeds("test", 50)[:10] == split_seeds("test", 10)


def test_all_splits_look_as_in_training_except_the_one_out_of_distribution():
    assert {name: split.variation for name, split in SPLITS.items()} == {
        "train": "mild",
        "validation": "mild",
        "test": "mild",
        "test-ood": "ood",
    }
    assert {split.variation for split in SPLITS.values()} <= set(LEVELS)


def test_no_two_episodes_of_different_splits_look_the_same():
    looks = [look(split.variation, seed) for split in SPLITS.values() for seed in split_seeds(split.name, 50)]
    assert len(set(looks)) == len(looks)


def test_an_unknown_split_is_named_with_those_there_are():
    for ask in (find_split, lambda name: split_seeds(name, 1)):
        with pytest.raises(UnknownName, match="unknown split 'tset'; available: test, test-ood, train, validation"):
            ask("tset")


@pytest.mark.parametrize("count", [0, -1, 2**40 + 1])
def test_a_count_that_a_split_does_not_have_is_refused(count):
    with pytest.raises(InvalidValue, match="'train' has 1 to"):
        split_seeds("train", count)


@pytest.mark.parametrize("seed", [-1, UNSEEN // SPAN])
def test_a_collection_with_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(InvalidValue, match="seed must be a whole number from 0"):
        collection_seeds(seed, 5)


@pytest.mark.parametrize("episodes", [0, SPAN + 1])
def test_a_collection_larger_than_its_seeds_is_refused(episodes):
    with pytest.raises(InvalidValue, match="1 to 100000 episodes"):
        collection_seeds(0, episodes)


@pytest.mark.parametrize(("count", "start"), [(0, 0), (1, -1)])
def test_no_unseen_seeds_and_a_start_below_0_are_refused(count, start):
    with pytest.raises(InvalidValue, match="at least one unseen seed"):
        unseen_seeds(count, start)
