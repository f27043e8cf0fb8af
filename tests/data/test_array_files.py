"""Files of arrays and tensors: what becomes of the numbers, what is read, what is refused."""

from __future__ import annotations

import io
import os
import pickle
import random
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from normscope.data import open_data
from normscope.loading import LoadingError

FORMATS = ("npy", "npz", "compressed.npz", "pt", "pth", "safetensors")


def save(path: str, inputs: np.ndarray, targets: np.ndarray | None = None) -> bool:
    """Write arrays in the format that the name says; whether the targets went along."""
    if path.endswith(".npy"):
        np.save(path, inputs)
        return False
    named = {"x": inputs} if targets is None else {"x": inputs, "y": targets}
    if path.endswith(".npz"):
        (np.savez_compressed if "compressed" in path else np.savez)(path, **named)
    elif path.endswith(".safetensors"):
        safetensors.torch.save_file({name: torch.from_numpy(array) for name, array in named.items()}, path)
    else:
        torch.save({name: torch.from_numpy(array) for name, array in named.items()}, path)
    return targets is not None


@pytest.fixture
def samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((50, 3, 4), dtype=np.float32), rng.integers(0, 5, 50)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_batch_is_rows_of_the_file_in_its_order(suffix, here, samples):
    inputs, targets = samples
    has_targets = save(f"a.{suffix}", *samples)
    batch = open_data(f"a.{suffix}", batch=8, seed=3)
    rows = sorted(random.Random(3).sample(range(50), 8))
    assert torch.equal(batch.inputs, torch.from_numpy(inputs[rows]))
    assert batch.targets.tolist() == targets[rows].tolist() if has_targets else batch.targets is None
    told = "" if not has_targets else r" (inputs 'x', targets 'y')"
    assert batch.name == f"a.{suffix}"
    start = f"8 samples, drawn with seed 3, of the 50 of a.{suffix}{told}"
    assert batch.description == f"{start}; numbers as they are, not normalized"
    again, other = open_data(f"a.{suffix}", batch=8, seed=3), open_data(f"a.{suffix}", batch=8, seed=4)
    assert torch.equal(again.inputs, batch.inputs)
    assert not torch.equal(other.inputs, batch.inputs)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_whole_file(suffix, here, samples):
    save(f"a.{suffix}", *samples)
    batch = open_data(Path(f"a.{suffix}"), batch=50)
    assert torch.equal(batch.inputs, torch.from_numpy(samples[0]))
    assert batch.description.startswith(f"all 50 samples of a.{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_a_caller_does_to_a_batch_stays_with_the_caller(suffix, here, samples):
    save(f"a.{suffix}", *samples)
    content = Path(f"a.{suffix}").read_bytes()
    open_data(f"a.{suffix}", batch=50).inputs.fill_(7)
    assert Path(f"a.{suffix}").read_bytes() == content
    assert torch.equal(open_data(f"a.{suffix}", batch=50).inputs, torch.from_numpy(samples[0]))


def test_every_row_can_be_drawn(here):
    np.save("a.npy", np.arange(5.0, dtype=np.float32))
    drawn = {float(open_data("a.npy", batch=1, seed=seed).inputs) for seed in range(100)}
    assert drawn == {0.0, 1.0, 2.0, 3.0, 4.0}


# --- what becomes of the numbers ----------------------------------------------------------------------------------

NUMBERS = {
    "uint8": (np.uint8, torch.float32, "bytes divided by 255, to [0, 1]"),
    "int8": (np.int8, torch.int64, "integers as they are"),
    "int16": (np.int16, torch.int64, "integers as they are"),
    "int32": (np.int32, torch.int64, "integers as they are"),
    "int64": (np.int64, torch.int64, "integers as they are"),
    "uint16": (np.uint16, torch.int64, "integers as they are"),
    "uint32": (np.uint32, torch.int64, "integers as they are"),
    "big endian": (np.dtype(">i4"), torch.int64, "integers as they are"),
    "bool": (np.bool_, torch.float32, "1 for true, 0 for false"),
    "float16": (np.float16, torch.float32, "float16 brought to float32, not normalized"),
    "float32": (np.float32, torch.float32, "numbers as they are, not normalized"),
    "float64": (np.float64, torch.float32, "float64 brought to float32, not normalized"),
    "long double": (np.longdouble, torch.float32, "float64 brought to float32, not normalized"),
    "big endian float": (np.dtype(">f4"), torch.float32, "numbers as they are, not normalized"),
}


@pytest.mark.parametrize("case", NUMBERS)
@pytest.mark.parametrize("suffix", ["npy", "npz", "compressed.npz"])
def test_numbers_of_numpy(case, suffix, here):
    dtype, expected, note = NUMBERS[case]
    values = (np.arange(12).reshape(4, 3) % 7).astype(dtype)
    save(f"a.{suffix}", values)
    batch = open_data(f"a.{suffix}", batch=4)
    assert batch.inputs.dtype == expected
    scale = 255 if case == "uint8" else 1
    np.testing.assert_allclose(batch.inputs.numpy(), values.astype(np.float64) / scale, rtol=1e-7)
    assert batch.description.endswith(f"; {note}")


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.bool, torch.bfloat16, torch.float64])
def test_numbers_of_torch(dtype, suffix, here):
    values = (torch.arange(12).reshape(4, 3) % 7).to(dtype)
    content = {"x": values, "y": values[:, 0].clone()}
    torch.save(content, "a.pt") if suffix == "pt" else safetensors.torch.save_file(content, "a.safetensors")
    batch = open_data(f"a.{suffix}", batch=4)
    scale = 255 if dtype == torch.uint8 else 1
    torch.testing.assert_close(batch.inputs.double(), values.double() / scale, rtol=1e-7, atol=0)
    assert batch.inputs.dtype == (torch.int64 if dtype == torch.int32 else torch.float32)
    assert batch.targets.dtype == (torch.float32 if dtype.is_floating_point else torch.int64)
    assert batch.targets.tolist() == values[:, 0].tolist()


@pytest.mark.parametrize("suffix", ["npy", "npz", "compressed.npz"])
def test_arrays_in_fortrans_order(suffix, here):
    values = np.asfortranarray(np.arange(24.0, dtype=np.float32).reshape(4, 3, 2))
    save(f"a.{suffix}", values)
    batch = open_data(f"a.{suffix}", batch=2, seed=1)
    rows = sorted(random.Random(1).sample(range(4), 2))
    assert batch.inputs.numpy().tolist() == values[rows].tolist()


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    dtype=st.sampled_from(["<f4", ">f4", "<f8", "<i2", "u1", "<u2", "?"]),
    fortran=st.booleans(),
    compressed=st.booleans(),
    data=st.data(),
)
def test_rows_of_npz_are_those_of_numpy(tmp_path_factory, shape, dtype, fortran, compressed, data):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    values = (np.arange(np.prod(shape)) % 5).reshape(shape).astype(dtype)
    (np.savez_compressed if compressed else np.savez)(path, np.asfortranarray(values) if fortran else values)
    count, seed = data.draw(st.integers(1, shape[0])), data.draw(st.integers(0, 99))
    rows = sorted(random.Random(seed).sample(range(shape[0]), count))
    batch = open_data(path, batch=count, seed=seed)
    expected = values[rows].astype(np.float64) / (255 if dtype == "u1" else 1)
    np.testing.assert_allclose(batch.inputs.double().numpy(), expected, rtol=1e-7)


# --- which array is what ------------------------------------------------------------------------------------------

A, B, C = torch.ones(4, 2), torch.arange(4), torch.zeros(4, 5)
NAMES = {
    "x and y": ({"x": A, "y": B}, "A", "B"),
    "images and labels": ({"labels": B, "images": A}, "A", "B"),
    "data and target": ({"target": B, "data": A, "other": C}, "A", "B"),
    "inputs and targets": ({"inputs": A, "targets": B}, "A", "B"),
    "only one": ({"features": A}, "A", None),
    "one and label": ({"label": B, "features": A}, "A", "B"),
}


@pytest.mark.parametrize("suffix", ["npz", "pt", "safetensors"])
@pytest.mark.parametrize("case", NAMES)
def test_names(case, suffix, here):
    content, inputs, targets = NAMES[case]
    write_mapping(f"a.{suffix}", content)
    batch = open_data(f"a.{suffix}", batch=4)
    assert torch.equal(batch.inputs, {"A": A, "C": C}[inputs])
    assert batch.targets is None if targets is None else torch.equal(batch.targets, B)


def write_mapping(path: str, content: dict[str, torch.Tensor]) -> None:
    if path.endswith("npz"):
        np.savez(path, **{name: value.numpy() for name, value in content.items()})
    elif path.endswith("pt"):
        torch.save(content, path)
    else:
        safetensors.torch.save_file(content, path)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_the_first_array_without_a_known_name(suffix, here):
    write_mapping(f"a.{suffix}", {"alpha": A, "beta": C})
    batch = open_data(f"a.{suffix}", batch=4)
    assert torch.equal(batch.inputs, A)
    assert "(inputs 'alpha')" in batch.description


def test_arrays_that_numpy_named(here):
    np.savez("a.npz", A.numpy(), B.numpy())
    batch = open_data("a.npz", batch=4)
    assert torch.equal(batch.inputs, A)
    assert torch.equal(batch.targets, B)


@pytest.mark.parametrize("suffix", ["npz", "pt", "safetensors"])
def test_keyword_inputs(suffix, here):
    tokens, mask = torch.arange(8).reshape(4, 2), torch.tensor([[True, False]] * 4)
    write_mapping(f"a.{suffix}", {"attention_mask": mask, "input_ids": tokens, "labels": B})
    batch = open_data(f"a.{suffix}", batch=4)
    assert batch.inputs.keys() == {"attention_mask", "input_ids"}
    assert torch.equal(batch.inputs["input_ids"], tokens)
    assert torch.equal(batch.inputs["attention_mask"], mask)  # still bool
    assert torch.equal(batch.targets, B)
    assert "inputs 'input_ids': integers as they are" in batch.description


def test_a_dictionary_that_torch_saved_is_keyword_inputs(here):
    torch.save({"alpha": A, "beta": C}, "a.pt")
    batch = open_data("a.pt", batch=4)
    assert torch.equal(batch.inputs["beta"], C)
    assert "(keyword inputs alpha, beta)" in batch.description


@pytest.mark.parametrize(
    ("content", "inputs", "targets"),
    [
        (A, A, None),
        ((A, B), A, B),
        ([A, B], A, B),
        ((A,), A, None),
        (((A, C), B), (A, C), B),
        (({"a": A}, B), {"a": A}, B),
    ],
)
def test_what_torch_saved(content, inputs, targets, here):
    torch.save(content, "a.pt")
    batch = open_data("a.pt", batch=4)
    torch.testing.assert_close(batch.inputs, inputs)
    assert (batch.targets is None) == (targets is None)
    if targets is not None:
        assert torch.equal(batch.targets, targets)


# --- only what is needed is read ----------------------------------------------------------------------------------


def test_only_the_rows_of_a_batch_are_read(here):
    """30 MB in each file, 4 rows of 4 kB asked for."""
    values = np.zeros((7500, 1000), np.float32)
    for suffix in ("npy", "npz", "pt", "safetensors"):
        save(f"small.{suffix}", values[:10])
        save(f"large.{suffix}", values)
        open_data(f"small.{suffix}", batch=4)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        open_data(f"large.{suffix}", batch=4)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        assert faults < 1500, suffix  # pages of 4 kB; all of it would be 7500


def test_arrays_that_are_not_asked_for_are_not_read(here):
    """A member whose bytes are damaged does no harm beside those that are used."""
    np.savez("a.npz", x=np.ones((4, 2), np.float32), spare=np.full(1000, 7.25))
    content = Path("a.npz").read_bytes()
    Path("a.npz").write_bytes(content.replace(np.full(1000, 7.25).tobytes(), bytes(8000)))
    assert open_data("a.npz", batch=4).inputs.sum() == 8


# --- what is refused ----------------------------------------------------------------------------------------------


class Hostile:
    def __reduce__(self):
        return os.system, ("touch executed",)


def npz(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return stream.getvalue()


def npy(values: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=True)
    return stream.getvalue()


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text.encode()


def torch_file(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


X = np.ones((4, 2), np.float32)
NAN = np.where(np.arange(8).reshape(4, 2) == 5, np.nan, 1.0)
FLOAT_HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }\n"
REFUSED = {
    "too few": ("a.npy", lambda: npy(X), r"^a batch of 9 was asked for, but a.npy holds 4 samples$", 9),
    "no samples": ("a.npy", lambda: npy(X[:0]), r"^a.npy holds no samples$", 1),
    "no samples, npz": ("a.npz", lambda: npz(x__npy=npy(X[:0])), r"^a.npz holds no samples$", 1),
    "no numbers": ("a.npy", lambda: npy(X[:, :0]), r"^the inputs of a.npy have shape \(4, 0\): samples without", 1),
    "a number": ("a.npy", lambda: npy(np.float32(3)), r"^the inputs of a.npy are a single number: the first dim", 1),
    "a number, pt": ("a.pt", lambda: torch_file(torch.tensor(3.0)), r"^the inputs of a.pt are a single number", 1),
    "lengths": (
        "a.npz", lambda: npz(x__npy=npy(X), y__npy=npy(X[:3])),
        r"^a.npz has columns of different lengths, .* must be the samples: inputs \(4, 2\), targets \(3, 2\)$", 1,
    ),
    "not batch first": (
        "a.pt", lambda: torch_file((torch.ones(2, 4), torch.ones(4))), r"inputs \(2, 4\), targets \(4,\)$", 1,
    ),
    "NaN": ("a.npy", lambda: npy(NAN), r"^the inputs of sample 2 of a.npy hold NaN$", 4),
    "NaN, npz": ("a.npz", lambda: npz(x__npy=npy(NAN)), r"^the inputs of sample 2 of a.npz hold NaN$", 4),
    "NaNs": ("a.npy", lambda: npy(X * np.nan), r"^the inputs of sample 0 of a.npy hold NaN; so do 3 more of the 4", 4),
    "inf": ("a.pt", lambda: torch_file(torch.tensor([[1.0], [-torch.inf]])), r"sample 1 of a.pt hold an infinite", 2),
    "too large": ("a.npy", lambda: npy(X.astype(float) * 1e300), r"infinite number, or one too large for float32", 4),
    "NaN targets": ("a.npz", lambda: npz(x__npy=npy(X), y__npy=npy(NAN[:, 1])), r"^the targets of sample 2 of", 4),
    "objects": ("a.npy", lambda: npy(np.array([{}, 1], dtype=object)), r"^a.npy holds Python objects and was not", 1),
    "hostile npy": ("a.npy", lambda: npy(np.array([Hostile()], dtype=object)), r"holds Python objects and was not", 1),
    "hostile npz": (
        "a.npz", lambda: npz(x__npy=npy(np.array([Hostile()], dtype=object))), r"a.npz: x.npy holds Python objects", 1,
    ),
    "pickle": ("a.npy", lambda: pickle.dumps(Hostile()), r"^a.npy is no .npy file of numbers and was not opened", 1),
    "pickle, npz": ("a.npz", lambda: pickle.dumps(Hostile()), r"^a.npz is truncated, damaged or no .npz file", 1),
    "hostile pt": ("a.pt", lambda: torch_file(Hostile()), r"^a.pt holds objects that are not tensors .* not opened", 1),
    "pickle in npz": ("a.npz", lambda: npz(x__npy=pickle.dumps(Hostile())), r"^a.npz cannot be read, it is damaged", 1),
    "header": ("a.npy", lambda: header("__import__('os').system('touch executed')\n"), r"^a.npy cannot be read", 1),
    "header, npz": (
        "a.npz", lambda: npz(x__npy=header("__import__('os').system('touch executed')\n")), r"^a.npz cannot be read", 1,
    ),
    "version": ("a.npz", lambda: npz(x__npy=header("{}", b"\x09\x00")), r"x.npy is no plain array \(version \(9, 0", 1),
    "short": ("a.npz", lambda: npz(x__npy=npy(X)[:-4]), r"^a.npz is truncated: x.npy is shorter than it says$", 4),
    "short npy": ("a.npy", lambda: npy(X)[:-4], r"^a.npy cannot be read, it is damaged", 4),
    "huge": ("a.npz", lambda: npz(x__npy=header(FLOAT_HEADER % "(9, 1000000000000000)")), r"^a.npz is truncated", 4),
    "negative": ("a.npz", lambda: npz(x__npy=header(FLOAT_HEADER % "(-4, 2)")), r"says that its shape is \(-4, 2\)", 4),
    "negative npy": ("a.npy", lambda: header(FLOAT_HEADER % "(-4, 2)") + bytes(64), r"^a.npy ", 4),
    "text": ("a.npy", lambda: npy(np.array(["a", "b"])), r"^the inputs of a.npy are of type <U1: only real numbers", 1),
    "records": ("a.npy", lambda: npy(np.zeros(2, "f4,i4")), r"are of type .*: only real numbers", 1),
    "dates": ("a.npy", lambda: npy(np.zeros(2, "M8[s]")), r"are of type datetime64\[s\]: only real numbers", 1),
    "complex": ("a.npy", lambda: npy(X * 1j), r"are of type complex64: only real numbers", 1),
    "complex pt": ("a.pt", lambda: torch_file(torch.ones(2, 2) * 1j), r"are complex numbers: only real numbers", 1),
    "complex targets": ("a.pt", lambda: torch_file((torch.ones(2), torch.ones(2) * 1j)), r"the targets .* are com", 1),
    "sparse": ("a.pt", lambda: torch_file(torch.eye(3).to_sparse()), r"are a sparse or quantized tensor", 1),
    "only targets": ("a.npz", lambda: npz(y__npy=npy(X)), r"^a.npz holds only targets: there are no inputs$", 1),
    "no arrays": ("a.npz", lambda: npz(readme__txt=b"hello"), r"^a.npz holds nothing: there are no inputs$", 1),
    "three parts": ("a.pt", lambda: torch_file((A, B, C)), r"^a.pt holds a tuple of 3 .*: expected a tensor, \(inp", 1),
    "a text": ("a.pt", lambda: torch_file("hello"), r"^a.pt holds a str: expected a tensor, \(inputs, targ", 1),
    "nested": ("a.pt", lambda: torch_file({"x": [1, 2]}), r"^the inputs 0 of a.pt are an int, not a tensor or", 1),
    "none": ("a.pt", lambda: torch_file((None, B)), r"^the inputs of a.pt are None, not a tensor or array$", 1),
    "empty tuple": ("a.pt", lambda: torch_file(((), B)), r"^the inputs of a.pt are a tuple of 0 \(\), not a tensor", 1),
    "empty": ("a.npy", lambda: b"", r"^a.npy is empty \(0 bytes\)$", 1),
    "empty npz": ("a.npz", lambda: b"", r"^a.npz is empty \(0 bytes\)$", 1),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case, here):
    name, content, message, batch = REFUSED[case]
    Path(name).write_bytes(content())
    with pytest.raises(LoadingError, match=message) as caught:
        open_data(name, batch=batch)
    assert "\n" not in str(caught.value)


def test_a_sample_with_nan_that_is_not_drawn_does_no_harm(here):
    np.save("a.npy", NAN)
    with pytest.raises(LoadingError, match=r"sample 2 of a.npy hold NaN"):
        open_data("a.npy", batch=1, seed=next(s for s in range(99) if random.Random(s).sample(range(4), 1) == [2]))
    seed = next(s for s in range(99) if random.Random(s).sample(range(4), 1) != [2])
    assert torch.isfinite(open_data("a.npy", batch=1, seed=seed).inputs).all()


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_bytes_are_data_or_one_line(suffix, here, samples):
    save(f"a.{suffix}", *samples)
    whole = Path(f"a.{suffix}").read_bytes()
    for index in range(0, len(whole), max(1, len(whole) // 40)):
        for content in (whole[:index], whole[:index] + bytes([whole[index] ^ 0xFF]) + whole[index + 1 :]):
            Path(f"a.{suffix}").write_bytes(content)
            try:
                open_data(f"a.{suffix}", batch=4)
            except LoadingError as error:
                message = str(error)
            else:
                message = ""
            assert "\n" not in message
