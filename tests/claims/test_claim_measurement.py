"""Numbers to JSON and back."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normscope.claims import Measurement

CELLS = {
    "float": st.floats(),
    "int": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "text": st.text(st.characters(exclude_categories=["Cs"])),
}
DTYPES = {"float": "float64", "int": "int64", "bool": "bool", "text": "str"}


@st.composite
def measurements(draw: Any) -> Measurement:
    rows = draw(st.integers(0, 4))
    names = draw(st.lists(CELLS["text"], unique=True, max_size=4))
    columns = {}
    for name in names:
        kind = draw(st.sampled_from(sorted(CELLS)))
        values = draw(st.lists(CELLS[kind], min_size=rows, max_size=rows))
        columns[name] = pd.Series(values, dtype=DTYPES[kind])
    scalars = draw(st.dictionaries(CELLS["text"], st.one_of(*CELLS.values()), max_size=4))
    return Measurement(pd.DataFrame(columns, index=range(rows)), scalars, tuple(draw(st.lists(CELLS["text"]))))


@given(measurements())
def test_comes_back_from_strict_json_bit_for_bit(measurement: Measurement) -> None:
    back = Measurement.from_json(json.loads(json.dumps(measurement.to_json(), allow_nan=False)))
    pd.testing.assert_frame_equal(back.table, measurement.table, check_exact=True)
    assert back.notes == measurement.notes
    # repr tells NaN from other numbers, −0 from 0, and True from 1
    assert repr(back.scalars) == repr(measurement.scalars)


def test_narrow_numbers_keep_their_values() -> None:
    table = pd.DataFrame({"f": np.float32([0.1, np.inf]), "i": np.int8([1, -1]), "b": [True, False]})
    made = Measurement(table, {"f": np.float32(0.1), "i": np.int16(3), "b": np.bool_(True)})
    back = Measurement.from_json(json.loads(json.dumps(made.to_json(), allow_nan=False)))
    assert back.table["f"].tolist() == [float(np.float32(0.1)), np.inf]
    assert back.table.dtypes.astype(str).tolist() == ["float64", "int64", "bool"]
    assert back.scalars == {"f": float(np.float32(0.1)), "i": 3, "b": True}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.0, -0.0, 1, True, "nan", "inf"])
def test_scalars_keep_their_kind(value: object) -> None:
    back = Measurement.from_json(json.loads(json.dumps(Measurement(pd.DataFrame(), {"x": value}).to_json())))
    assert repr(back.scalars) == repr({"x": value})


def test_rows_are_numbered_from_zero() -> None:
    assert Measurement(pd.DataFrame({"x": [1, 2]}, index=[5, 5])).table.index.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("table", "scalars", "error", "message"),
    [
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), {}, ValueError, "two columns 'x'"),
        (pd.DataFrame({3: [1]}), {}, TypeError, "a column named 3: columns are named by text"),
        (pd.DataFrame({"x": [[1, 2]]}), {}, TypeError, "column 'x' has dtype object"),
        (pd.DataFrame({"x": ["a", None]}), {}, TypeError, "column 'x' has dtype .*none missing"),
        (pd.DataFrame({"x": [1 + 2j]}), {}, TypeError, "column 'x' has dtype complex128"),
        (pd.DataFrame(), {"gram": np.eye(2)}, TypeError, "scalar 'gram' is a.* ndarray"),
        (pd.DataFrame(), {"x": None}, TypeError, "scalar 'x' is None"),
    ],
)
def test_what_json_has_no_form_for_is_told(
    table: pd.DataFrame, scalars: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Measurement(table, scalars)
