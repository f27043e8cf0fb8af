"""A trace as a file: what comes back is what was saved, and no file can do harm."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from result_cases import INF, NAN, by_hand, deep

from normscope import Trace, models, trace
from normscope.loading import LoadingError
from normscope.tracing.storage import VERSION

# --- what comes back


def assert_same(one: Trace, two: Trace) -> None:
    """Bit for bit: types, order, NaN payloads and signs of zeros included."""
    for name in ("model", "batch", "training", "seed", "notes"):
        assert getattr(one, name) == getattr(two, name)
        assert type(getattr(one, name)) is type(getattr(two, name))
    assert repr(one.loss) == repr(two.loss)
    assert list(one.table) == list(two.table)
    assert len(one.table) == len(two.table)
    for name in one.table:
        a, b = one.table[name], two.table[name]
        assert a.dtype == b.dtype, name
        if isinstance(a.dtype, np.dtype) and a.dtype.kind in "biuf":
            assert a.to_numpy().tobytes() == b.to_numpy().tobytes(), name
        else:
            assert list(map(repr, a)) == list(map(repr, b)), name
    assert list(map(repr, one.output_gradients.items())) == list(map(repr, two.output_gradients.items()))
    assert list(one._grams) == list(two._grams)
    assert list(one._channels) == list(two._channels)
    for key in one._grams:
        assert_same_array(one._grams[key], two._grams[key])
    for key, moments in one._channels.items():
        assert list(moments) == list(two._channels[key])
        for name, array in moments.items():
            assert_same_array(array, two._channels[key][name])


def assert_same_array(a: np.ndarray, b: np.ndarray) -> None:
    assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    assert b.flags.writeable


def test_a_trace_made_by_hand_comes_back(tmp_path: Path) -> None:
    assert_same(by_hand(), Trace.load(by_hand().save(tmp_path / "t")))
    assert_same(by_hand(loss=None, notes=()), Trace.load(by_hand(loss=None, notes=()).save(tmp_path / "t")))


@pytest.mark.parametrize("measures", [("moments",), ("geometry",), ("moments", "geometry")])
@pytest.mark.parametrize("with_loss", [True, False])
def test_a_measured_trace_comes_back(tmp_path: Path, measures: tuple[str, ...], with_loss: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(6, 3, 8, 8, generator=generator), torch.arange(6)
    model = models.cifar_resnet(8, "batch")
    result = trace(model, inputs, targets if with_loss else None, measures=measures, seed=3)
    loaded = Trace.load(result.save(tmp_path / "t"))
    assert_same(result, loaded)
    assert str(result) == str(loaded)


numbers = st.sampled_from([np.float64, np.float32, np.float16, np.int64, np.int8, np.uint16, np.bool_])
texts = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda children: st.lists(children, max_size=3).map(tuple),
    max_leaves=4,
)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    rows = draw(st.integers(0, 4))
    names = draw(st.lists(texts.filter(lambda n: n not in ("layer", "kind", "call", "shape")), max_size=4, unique=True))
    table = pd.DataFrame(
        {
            "layer": pd.Series([draw(texts) for _ in range(rows)], dtype="str"),
            "kind": pd.Series([draw(texts) for _ in range(rows)], dtype="str"),
            "call": np.arange(rows),
            "shape": pd.Series(
                [tuple(draw(st.lists(st.integers(0, 9), max_size=3))) for _ in range(rows)], dtype=object
            ),
            **{
                name: draw(hnp.arrays(draw(numbers), rows))
                if draw(st.booleans())
                else pd.Series([draw(values) for _ in range(rows)], dtype=object)
                for name in names
            },
        }
    )
    keys = st.tuples(texts, st.integers(0, 2**40))
    sides = st.integers(0, 3)
    grams = draw(st.dictionaries(keys, sides.flatmap(lambda n: hnp.arrays(np.float64, (n, n))), max_size=3))
    moments = st.dictionaries(texts, hnp.arrays(numbers, st.integers(0, 3)), max_size=3)
    return Trace(
        table=table,
        model=draw(texts),
        batch=draw(st.integers(0, 2**40)),
        training=draw(st.booleans()),
        loss=draw(st.none() | st.floats()),
        seed=draw(st.integers(-(2**70), 2**70)),
        notes=tuple(draw(st.lists(texts, max_size=2))),
        output_gradients=draw(st.dictionaries(texts, st.floats() | st.integers(), max_size=2)),
        _grams=grams,
        _channels=draw(st.dictionaries(keys, moments, max_size=2)),
    )


@given(traces())
def test_any_trace_comes_back(original: Trace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert_same(original, Trace.load(original.save(Path(folder, "t"))))


def test_arrays_in_any_layout_come_back(tmp_path: Path) -> None:
    square = np.arange(9.0).reshape(3, 3)
    grams = {("stem", k): array for k, array in enumerate([square.T, square[::-1], square.astype(">f8")])}
    assert_same(by_hand(_grams=grams), Trace.load(by_hand(_grams=grams).save(tmp_path / "t")))


def test_what_is_loaded_can_be_written_to_a_table(tmp_path: Path) -> None:
    loaded = Trace.load(by_hand().save(tmp_path / "t"))
    loaded.table.loc[0, "mean"] = 5.0
    assert loaded.table["mean"].iloc[0] == 5.0


def test_the_index_of_the_table_is_not_kept(tmp_path: Path) -> None:
    loaded = Trace.load(by_hand(table=by_hand().table.iloc[[5, 2]]).save(tmp_path / "t"))
    assert loaded.table["layer"].tolist() == by_hand().table["layer"].iloc[[5, 2]].tolist()
    assert loaded.table.index.tolist() == [0, 1]


# --- the file


@pytest.mark.parametrize(
    ("path", "written"),
    [("t", "t.npz"), ("t.npz", "t.npz"), ("t.trace", "t.trace.npz"), ("t.NPZ", "t.NPZ.npz"), (".npz", ".npz")],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_suffix_as_numpy_appends_it(tmp_path: Path, path: str, written: str, kind: Callable[[Any], Any]) -> None:
    target = kind(os.path.join(tmp_path, path))
    assert by_hand().save(target) == tmp_path / written
    assert [file.name for file in tmp_path.iterdir()] == [written]
    np.savez(target, a=np.zeros(1))
    assert [file.name for file in tmp_path.iterdir()] == [written]  # numpy means the same file
    by_hand().save(target)
    assert_same(Trace.load(target), Trace.load(tmp_path / written))


def test_a_file_is_preferred_under_its_own_name(tmp_path: Path) -> None:
    by_hand(model="with").save(tmp_path / "t")
    by_hand(model="without").save(tmp_path / "u").rename(tmp_path / "t")
    assert Trace.load(tmp_path / "t").model == "without"


def test_numpy_reads_it_without_normscope(tmp_path: Path) -> None:
    with np.load(by_hand().save(tmp_path / "t"), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["table/std"], by_hand().table["std"].to_numpy())
        np.testing.assert_array_equal(file["gram/0"], by_hand().gram("stem"))
        np.testing.assert_array_equal(file["channels/0/dead"], by_hand().channels("stem")["dead"].to_numpy())
        meta = json.loads(file["meta.json"])
    assert meta["grams"][0] == {"layer": "stem", "call": 0, "array": "gram/0"}
    assert (meta["format"], meta["version"], meta["model"], meta["loss"]) == ("normscope trace", 1, "Net<T>", 2.302585)


def test_json_is_strict(tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    table = by_hand().table.assign(mixed=[NAN, INF, -INF, None, 1, "x", (NAN,)])
    file = by_hand(loss=NAN, table=table).save(tmp_path / "t")
    with zipfile.ZipFile(file) as archive:
        json.loads(archive.read("meta.json"), parse_constant=refuse)
    assert_same(by_hand(loss=NAN, table=table), Trace.load(file))


def test_the_same_trace_is_the_same_file(tmp_path: Path) -> None:
    assert by_hand().save(tmp_path / "a").read_bytes() == by_hand().save(tmp_path / "b").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}  # at any time


def test_odd_column_names_make_safe_file_names(tmp_path: Path) -> None:
    table = by_hand().table.assign(**{"../../evil": 1.0, "<lambda>": 2.0, "größe": 3.0, "a b": 4.0, "": 5.0})
    file = by_hand(table=table).save(tmp_path / "t")
    with zipfile.ZipFile(file) as archive:
        assert all(name.replace("/", "").replace(".", "").replace("_", "").isalnum() for name in archive.namelist())
        assert "".join(archive.namelist()).isascii()
    assert_same(by_hand(table=table), Trace.load(file))


def test_a_link_is_followed_and_rights_are_those_of_a_new_file(tmp_path: Path) -> None:
    (tmp_path / "real.npz").write_text("old")
    (tmp_path / "link.npz").symlink_to(tmp_path / "real.npz")
    by_hand().save(tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink()
    assert_same(by_hand(), Trace.load(tmp_path / "real.npz"))
    (tmp_path / "plain").touch()
    assert (tmp_path / "real.npz").stat().st_mode == (tmp_path / "plain").stat().st_mode


# --- what cannot be saved


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"x": [{}] * 7}, TypeError, "column 'x' holds a dict: a trace file holds numbers, text and tuples of them"),
        ({"x": [(1, [2])] * 7}, TypeError, r"column 'x' holds a list of 1 \(int\)"),
        ({"x": pd.Categorical(["a"] * 7)}, TypeError, "column 'x' has dtype category"),
        ({"x": np.zeros(7, complex)}, TypeError, "column 'x' has dtype complex128"),
        ({"x": np.zeros(7, "datetime64[s]")}, TypeError, r"column 'x' has dtype datetime64\[s\]"),
        ({3: 1.0}, TypeError, "has a column named 3"),
    ],
)
def test_a_column_that_no_open_file_holds(
    tmp_path: Path, columns: dict[Any, Any], error: type[Exception], message: str
) -> None:
    table = by_hand().table
    for name, column in columns.items():
        table[name] = column
    with pytest.raises(error, match=message):
        by_hand(table=table).save(tmp_path / "t")
    assert not list(tmp_path.iterdir())


def test_two_columns_of_one_name_cannot_be_saved(tmp_path: Path) -> None:
    table = by_hand().table.rename(columns={"std": "mean"})
    with pytest.raises(ValueError, match="two columns 'mean'"):
        by_hand(table=table).save(tmp_path / "t")
    assert not list(tmp_path.iterdir())


def test_an_array_of_objects_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="gram/0 has dtype object"):
        by_hand(_grams={("stem", 0): np.array([[None]])}).save(tmp_path / "t")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    file = by_hand(model="old").save(tmp_path / "t")
    written = []

    def write_some(*arguments: Any, **keywords: Any) -> None:
        written.append(arguments)
        if len(written) == 3:
            raise interruption

    monkeypatch.setattr(np.lib.format, "write_array", write_some)
    with pytest.raises(interruption):
        by_hand(model="new").save(tmp_path / "t")
    monkeypatch.undo()
    assert Trace.load(file).model == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("folder.npz", IsADirectoryError, "cannot write .*folder.npz: it is a folder; name a file in it"),
        ("no/such/t", FileNotFoundError, "cannot write .*t.npz: there is no folder .*such"),
        ("n" * 300, OSError, "cannot write .*: File name too long"),
    ],
)
def test_a_path_that_cannot_be_written(tmp_path: Path, path: str, error: type[Exception], message: str) -> None:
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(error, match=message):
        by_hand().save(tmp_path / path)
    assert [file.name for file in tmp_path.rglob("*")] == ["folder.npz"]


# --- what cannot be loaded


def rewritten(file: Path, change: Callable[[dict[str, bytes]], None], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def with_meta(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        meta = {**json.loads(members["meta.json"]), **changes}
        members["meta.json"] = json.dumps({key: value for key, value in meta.items() if value != "gone"}).encode()

    return change


def with_member(name: str, content: bytes | None) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        if content is None:
            del members[name]
        else:
            members[name] = content

    return change


def header(shape: tuple[int, ...], dtype: str = "<f8", data: bytes = b"") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue() + data


DAMAGED = "cannot be read, it is damaged or of another format: "
COLUMN = {"name": "layer", "dtype": "str", "values": ["a"]}
REST = [{"name": name, "dtype": "object", "values": [1]} for name in ("kind", "call", "shape")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_member("meta.json", None), "holds no trace: an archive without meta.json"),
        (with_member("meta.json", b"{"), f"{DAMAGED}Expecting property name"),
        (with_member("meta.json", b"\xff"), f"{DAMAGED}.*can't decode"),
        (with_member("meta.json", b"[]"), "holds no trace: its meta.json is of something else"),
        (with_member("meta.json", b"[" * 100_000), f"{DAMAGED}.*recursion"),
        (with_meta(format="notes of a tracer"), "holds no trace: its meta.json is of something else"),
        (with_meta(version=VERSION + 1), r"is from a newer normscope \(trace format 2, this one reads 1\): upgrade"),
        (with_meta(version="1"), f"{DAMAGED}a str in the place of the class int"),
        (with_meta(batch=True), f"{DAMAGED}a bool in the place of the class int"),
        (with_meta(batch="gone"), f"{DAMAGED}'batch'"),
        (with_meta(loss="2"), f"{DAMAGED}a str in the place of the class float"),
        (with_meta(loss={"int": 2}), f"{DAMAGED}'float'"),
        (with_meta(notes="text"), f"{DAMAGED}a str in the place of the class list"),
        (with_meta(notes=[None]), f"{DAMAGED}None in the place of the class str"),
        (with_meta(grams=[{"layer": [], "call": 0, "array": "gram/0"}]), f"{DAMAGED}a list of 0"),
        (with_meta(grams=[{"layer": "a", "call": 0, "array": "table/std"}]), f"{DAMAGED}a Gram matrix is not square"),
        (with_meta(grams=[{"layer": "a", "call": 0, "array": "../gram/0"}]), f"{DAMAGED}.*no item named"),
        (with_meta(output_gradients=[]), f"{DAMAGED}a list of 0 .* in the place of the class dict"),
        (with_meta(output_gradients={"cosine": "1"}), f"{DAMAGED}a str in the place of the class float"),
        (with_meta(output_gradients={"cosine": True}), f"{DAMAGED}a bool in the place of the class float"),
        (with_meta(grams=7), f"{DAMAGED}'int' object is not iterable"),
        (with_meta(table=[]), f"{DAMAGED}columns of the table are missing"),
        (with_meta(table=[COLUMN]), f"{DAMAGED}columns of the table are missing"),
        (with_meta(table=[{**COLUMN, "values": ["a", "b"]}, *REST]), f"{DAMAGED}.*of different lengths"),
        (with_meta(table=[{**COLUMN, "dtype": "category"}, *REST]), f"{DAMAGED}column 'layer' is of unknown type"),
        (with_meta(table=[{"name": "layer", "array": "gram/0"}, *REST]), f"{DAMAGED}.*1-dimensional"),
        (with_member("gram/0.npy", None), f"{DAMAGED}.*no item named 'gram/0.npy'"),
        (with_member("gram/0.npy", b""), f"{DAMAGED}"),
        (with_member("gram/0.npy", b"\x93NUMPY\x09\x00"), f"{DAMAGED}array 'gram/0' has the unknown .npy version"),
        (with_member("gram/0.npy", header((2, 2))), f"{DAMAGED}array 'gram/0' says that its shape is .2, 2., but has"),
        (with_member("gram/0.npy", header((10**9, 10**9))), f"{DAMAGED}.*but has other data"),
        (with_member("gram/0.npy", header((-1, -1), data=bytes(8))), f"{DAMAGED}.*but has other data"),
        (with_member("gram/0.npy", header((2**32, 2**32, 0))), f"{DAMAGED}"),
        (
            with_member("gram/0.npy", header((1, 1), "<U4", bytes(16))),
            f"{DAMAGED}array 'gram/0' has dtype <U4, not num",
        ),
        (with_member("gram/0.npy", header((1, 1), "<M8[s]", bytes(8))), f"{DAMAGED}.*not numbers"),
        (with_member("gram/0.npy", npy(np.zeros((2, 2)))[:-8]), f"{DAMAGED}.*but has other data"),
        (with_member("gram/0.npy", npy(np.zeros((2, 2))) + bytes(8)), f"{DAMAGED}.*but has other data"),
        (with_member("gram/0.npy", npy(np.zeros((2, 3)))), f"{DAMAGED}a Gram matrix is not square"),
        (
            with_member("gram/0.npy", npy(np.array([[{}]]), allow_pickle=True)),
            "was not opened: its array 'gram/0' holds",
        ),
    ],
)
def test_a_damaged_file_is_told_in_one_line(
    tmp_path: Path, change: Callable[[dict[str, bytes]], None], message: str
) -> None:
    file = by_hand().save(tmp_path / "t")
    rewritten(file, change)
    with pytest.raises(LoadingError, match=message) as raised:
        Trace.load(file)
    assert "\n" not in str(raised.value)
    assert str(file) in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"hello", "is no trace: traces are .npz files that Trace.save writes"),
        (pickle.dumps([1, 2]), "is no trace: traces are .npz files"),
        (npy(np.zeros(3)), "is no trace: traces are .npz files"),
        (b"PK\x03\x04hello", "is cut off: its end is missing"),
    ],
)
def test_a_file_that_is_no_trace(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.npz").write_bytes(content)
    with pytest.raises(LoadingError, match=message):
        Trace.load(tmp_path / "t")


def test_an_npz_of_something_else(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", a=np.zeros(3))
    with pytest.raises(LoadingError, match=r"holds no trace: an archive without meta\.json"):
        Trace.load(tmp_path / "t.npz")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    by_hand().save(tmp_path / "run")
    with pytest.raises(LoadingError, match=r"there is no file .*runs.npz; did you mean 'run.npz'\?"):
        Trace.load(tmp_path / "runs.npz")
    with pytest.raises(LoadingError, match="is a folder"):
        Trace.load(tmp_path)


def test_a_file_of_before_there_were_output_gradients(tmp_path: Path) -> None:
    file = by_hand().save(tmp_path / "t")
    rewritten(file, with_meta(output_gradients="gone"))
    assert_same(by_hand(), Trace.load(file))


def test_a_pickle_in_an_array_is_not_executed(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (os.fspath(tmp_path / "executed"),)

    file = by_hand().save(tmp_path / "t")
    rewritten(file, with_member("table/std.npy", npy(np.array([Hostile()] * 7), allow_pickle=True)))
    with pytest.raises(LoadingError, match="holds Python objects, which only executing them brings back"):
        Trace.load(file)
    assert not (tmp_path / "executed").exists()
    with np.load(file, allow_pickle=True) as trusting:
        trusting["table/std"]
    assert (tmp_path / "executed").exists()  # hostile it was


def test_a_file_cannot_unpack_to_more_than_its_size(tmp_path: Path) -> None:
    file = by_hand().save(tmp_path / "t")
    rewritten(file, with_member("bomb.npy", bytes(10**7)), zipfile.ZIP_DEFLATED)
    with pytest.raises(LoadingError, match="unpacks to more than its size"):
        Trace.load(file)


@given(st.data())
def test_a_file_that_is_cut_off_is_never_taken_for_whole(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = by_hand().save(Path(folder, "t"))
        content = file.read_bytes()
        file.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        with pytest.raises(LoadingError):
            Trace.load(file)


@given(st.data())
def test_a_changed_byte_is_found_or_harmless(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        original = deep(3)
        file = original.save(Path(folder, "t"))
        content = bytearray(file.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        file.write_bytes(content)
        with contextlib.suppress(LoadingError):
            assert_same(original, Trace.load(file))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system here")
def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)
    trace = Trace(pd.DataFrame({"layer": ["a"], "call": [0]}), "Net", 4, True)
    with pytest.raises(OSError, match="is not a regular file"):
        trace.save(pipe)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
