import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headway.errors import DatasetError
from headway.signals.weights import read_weights, write_weights


def test_the_table_has_an_index_and_a_weight_and_null_where_there_is_none(tmp_path):
    write_weights(tmp_path / "w.parquet", np.arange(3), np.array([0.5, np.nan, 1]))
    table = pq.read_table(tmp_path / "w.parquet")
    assert table.to_pydict() == {"index": [0, 1, 2], "weight": [0.5, None, 1.0]}
    index, weight = read_weights(tmp_path / "w.parquet")
    assert index.tolist() == [0, 1, 2]
    assert weight == pytest.approx([0.5, np.nan, 1], nan_ok=True)
    assert weight.dtype == np.float32


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"index": [0, 1], "weight": [0.5, 1.5]}, "frame 1 the weight 1.5"),
        ({"index": [0, 1], "weight": [-0.5, 1.0]}, "frame 0 the weight -0.5"),
        ({"index": [0, 1], "progress": [0.0, 1.0]}, "is no table of weights"),
        ({"index": [0, None], "weight": [0.0, 1.0]}, "is no table of weights"),
        ({"index": [0, 1], "weight": ["much", "little"]}, "is no table of weights"),
    ],
)
def test_what_is_no_table_of_weights_is_refused_in_one_line(tmp_path, columns, match):
    pq.write_table(pa.table(columns), tmp_path / "w.parquet")
    with pytest.raises(DatasetError, match=match) as told:
        read_weights(tmp_path / "w.parquet")
    assert "\n" not in str(told.value)


def test_a_missing_table_and_a_text_are_refused(tmp_path):
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(DatasetError, match=r"text\.parquet is no table of weights"):
        read_weights(tmp_path / "text.parquet")
    with pytest.raises(DatasetError, match=r"there is no table of weights .*none\.parquet"):
        read_weights(tmp_path / "none.parquet")
