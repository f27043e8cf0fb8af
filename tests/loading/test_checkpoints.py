"""Checkpoints: what is loaded, what is refused, and that nothing in a file is executed."""

from __future__ import annotations

import copy
import os
import pickle
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from normscope.loading import LoadingError, load_weights, read_tensors


class Hostile:
    """Creates a file when a pickle of it is opened by a plain unpickler."""

    def __reduce__(self):
        return os.system, ("touch executed",)


class Plain:
    """Any object that is no tensor."""


def net(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def message_of(call: Callable[[], object]) -> str:
    """How a call fails; empty if it does not. Other errors than a `LoadingError` pass."""
    try:
        call()
    except LoadingError as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def nothing_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path("executed").exists()


# --- what is loaded -----------------------------------------------------------------------------------------------

HOLDERS = {
    "alone": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"optimizer": {"lr": torch.ones(1)}, "model": state},
    "model_state_dict": lambda state: {"model_state_dict": state},
}
PREFIXES = ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_where_a_state_dict_may_be(holder, prefix):
    source, model = net(1), net(2)
    torch.save(HOLDERS[holder]({prefix + key: value for key, value in source.state_dict().items()}), "a.pth")
    load_weights(model, "a.pth")
    assert equal(model, source)


@pytest.mark.parametrize("suffix", ["pt", "pth", "bin", "ckpt", "safetensors"])
def test_formats(suffix):
    source, model = net(1), net(2)
    if suffix == "safetensors":
        safetensors.torch.save_file(source.state_dict(), "a.safetensors")
    else:
        torch.save(source.state_dict(), f"a.{suffix}")
    load_weights(model, Path(f"a.{suffix}"))
    assert equal(model, source)


def test_the_format_of_old_releases():
    source, model = net(1), net(2)
    torch.save(source.state_dict(), "a.pt", _use_new_zipfile_serialization=False)
    load_weights(model, "a.pt")
    assert equal(model, source)


@pytest.mark.parametrize("saved", ["plain", "parallel", "compiled"])
@pytest.mark.parametrize("into", ["plain", "parallel", "compiled"])
def test_wrappers_on_either_side(saved, into):
    wrap = {"plain": lambda m: m, "parallel": nn.DataParallel, "compiled": lambda m: torch.compile(m, backend="eager")}
    source, model = net(1), net(2)
    torch.save(wrap[saved](source).state_dict(), "a.pt")
    load_weights(wrap[into](model), "a.pt")
    assert equal(model, source)


def test_a_submodule_that_is_called_module():
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = net(3)

    source, model = Outer(), Outer()
    source.module.load_state_dict(net(1).state_dict())
    torch.save(source.state_dict(), "a.pt")
    load_weights(model, "a.pt")
    assert equal(model, source)


def test_a_batch_norm_saved_without_its_counter():
    source, model = net(1), net(2)
    state = {key: value for key, value in source.state_dict().items() if "num_batches" not in key}
    torch.save(state, "a.pt")
    load_weights(model, "a.pt")
    assert equal(model, source)


@pytest.mark.parametrize("wrapper", ["", "module."])
def test_versions_of_modules_are_carried(wrapper):
    """A batch norm of a version that has a counter, saved without one, lacks it; the version says so."""
    state = net(1).state_dict() if not wrapper else nn.DataParallel(net(1)).state_dict()
    del state[f"{wrapper}1.num_batches_tracked"]
    assert state._metadata[f"{wrapper}1"] == {"version": 2}
    torch.save(state, "a.pt")
    with pytest.raises(LoadingError, match=r"1 of 9 keys missing \(1.num_batches_tracked\)$"):
        load_weights(net(2), "a.pt")


def test_a_tied_parameter_may_be_saved_once():
    source, model = Tied(), Tied()
    safetensors.torch.save_file({"head.weight": source.head.weight.detach()}, "a.safetensors")
    load_weights(model, "a.safetensors")
    assert torch.equal(model.embedding.weight, source.embedding.weight)
    assert model.embedding.weight is model.head.weight


def test_a_lazy_model_gets_its_shapes():
    model = nn.Sequential(nn.LazyLinear(4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    torch.save(net(1).state_dict(), "a.pt")
    load_weights(model, "a.pt")
    assert equal(model, net(1))


def test_numbers_of_another_precision_are_converted():
    model = net(2)
    torch.save(net(1).half().state_dict(), "a.pt")
    load_weights(model, "a.pt")
    assert model[0].weight.dtype == torch.float32
    assert torch.equal(model[0].weight, net(1)[0].weight.half().float())


def test_the_model_does_not_depend_on_the_file_afterwards():
    for name, save in (("a.pt", torch.save), ("a.safetensors", safetensors.torch.save_file)):
        model = net(2)
        save(net(1).state_dict(), name)
        load_weights(model, name)
        Path(name).write_bytes(b"\0" * 10000)
        assert equal(model, net(1))


# --- what does not fit --------------------------------------------------------------------------------------------


def changed(**changes: object) -> dict[str, object]:
    state = dict(net(1).state_dict())
    state.update({key.replace("__", "."): value for key, value in changes.items()})
    return {key: value for key, value in state.items() if value is not None}


MISFITS = {
    "missing": (changed(**{"0.bias": None}), r"a.pt does not fit Sequential: 1 of 9 keys missing \(0.bias\)$"),
    "unexpected": (changed(extra=torch.ones(1)), r"Sequential: 1 unexpected \(extra\)$"),
    "shape": (
        changed(**{"2.weight": torch.ones(7, 4)}),
        r"Sequential: 1 of another shape \(2.weight is \(7, 4\) in the file and \(2, 4\) in the model\)$",
    ),
    "many": (
        {f"layer{i}": torch.ones(1) for i in range(5)},
        r"9 of 9 keys missing \(0.weight, 0.bias, 1.weight and 6 more\); 5 unexpected \(layer0, .* and 2 more\)$",
    ),
    "no tensor": (changed(**{"0.bias": 3}), r"0.bias is an int in the file and \(4,\) in the model"),
    "all": (
        changed(**{"0.bias": None, "extra": torch.ones(1), "2.bias": torch.ones(3)}),
        r"1 of 9 keys missing \(0.bias\); 1 unexpected \(extra\); 1 of another shape \(2.bias is",
    ),
    "half a wrapper": (changed(module__0__bias=torch.ones(4), **{"0.bias": None}), r"missing \(0.bias\); 1 unexp"),
    "escapes": (changed(**{"\x1b[31m\n": torch.ones(1)}), r"1 unexpected \(\\x1b\[31m\)$"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_what_does_not_fit_is_one_line_and_the_model_stays(case):
    content, message = MISFITS[case]
    model = net(2)
    before = copy.deepcopy(model)
    torch.save(content, "a.pt")
    with pytest.raises(LoadingError, match=message) as caught:
        load_weights(model, "a.pt")
    assert "\n" not in str(caught.value)
    assert equal(model, before)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.ones(2), r"a.pt holds no state dict but a tensor of shape \(2,\): save model.state_dict\(\)$"),
        ([torch.ones(2)], r"holds no state dict but a list of 1 \(Tensor\)"),
        ({}, r"holds no state dict: there are no tensors in it, but nothing$"),
        ({"epoch": 3, "lr": 0.1}, r"there are no tensors in it, but epoch, lr$"),
        (3, r"holds no state dict but an int"),
        (None, r"holds no state dict but None"),
    ],
)
def test_what_is_no_state_dict(content, message):
    torch.save(content, "a.pt")
    with pytest.raises(LoadingError, match=message):
        load_weights(net(), "a.pt")


def test_versions_that_are_none_do_no_harm():
    for versions in (5, {3: 4}, {"1": 4}, {"1": {"version": "x"}}):
        state = net(1).state_dict()
        state._metadata = versions
        torch.save(state, "a.pt")
        model = net(2)
        told = message_of(lambda: load_weights(model, "a.pt"))
        assert "does not fit Sequential" in told or equal(model, net(1))


# --- hostile and broken files -------------------------------------------------------------------------------------


def save_pickle(content: object, path: str, protocol: int) -> None:
    with open(path, "wb") as stream:
        pickle.dump(content, stream, protocol=protocol)


HOSTILE = {
    "zip": lambda path: torch.save(Hostile(), path),
    "in a state dict": lambda path: torch.save({**net().state_dict(), "x": Hostile()}, path),
    "old format": lambda path: torch.save(Hostile(), path, _use_new_zipfile_serialization=False),
    "pickle 0": lambda path: save_pickle(Hostile(), path, 0),
    "pickle 2": lambda path: save_pickle(Hostile(), path, 2),
    "pickle 4": lambda path: save_pickle(Hostile(), path, 4),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_pickle_is_not_opened(case, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    HOSTILE[case]("a.pt")
    with pytest.raises(LoadingError, match=r"^a.pt holds objects that are not tensors .*and was not opened") as caught:
        load_weights(net(), "a.pt")
    assert "\n" not in str(caught.value)


def test_the_hostile_pickle_is_one():
    """The other tests of hostile files would pass with a harmless one."""
    pickle.loads(pickle.dumps(Hostile()))
    assert Path("executed").exists()
    Path("executed").unlink()


def test_the_refusal_names_the_class_and_does_not_advise_to_trust():
    torch.save({"a": Plain()}, "a.pt")
    with pytest.raises(LoadingError, match=r"not tensors \(.*Plain\) and was not opened") as caught:
        read_tensors("a.pt")
    for advice in ("weights_only", "trust", "allowlist", "add_safe_globals"):
        assert advice not in str(caught.value)
    torch.save(net(), "a.pt")
    with pytest.raises(
        LoadingError, match=r"not tensors \(torch.nn.modules.container.Sequential\).*save model.state_dict"
    ):
        read_tensors("a.pt")


def test_a_torchscript_program_is_not_opened():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls TorchScript deprecated
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), "a.pt")
    with pytest.raises(
        LoadingError, match=r"^a.pt holds a TorchScript program, .* was not opened: save model.state_dict"
    ):
        load_weights(net(), "a.pt")


def bytes_of(suffix: str, old: bool = False) -> bytes:
    if suffix == "safetensors":
        return safetensors.torch.save(net().state_dict())
    torch.save(net().state_dict(), "whole", _use_new_zipfile_serialization=not old)
    return Path("whole").read_bytes()


DAMAGED = {
    "empty": (lambda: b"", r"is empty \(0 bytes\)$"),
    "text": (lambda: b"hello, this is no checkpoint", r"is truncated, damaged or not written by torch.save$"),
    "html": (lambda: b"<!DOCTYPE html><html></html>", r"is truncated, damaged or not written by torch.save$"),
    "zeros": (lambda: bytes(1000), r"is truncated, damaged or not written by torch.save$"),
    "one byte": (lambda: b"\x80", r"is truncated, damaged or not written by torch.save$"),
    "zip magic": (lambda: b"PK\x03\x04", r"is truncated, damaged or not written by torch.save$"),
    "half": (lambda: bytes_of("pt")[: len(bytes_of("pt")) // 2], r"is truncated, damaged or not written by"),
    "half, old": (lambda: bytes_of("pt", True)[:900], r"is truncated, damaged or not written by"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files(case):
    content, message = DAMAGED[case]
    Path("a.pt").write_bytes(content())
    with pytest.raises(LoadingError, match=rf"^a.pt {message}"):
        load_weights(net(), "a.pt")


@pytest.mark.parametrize("length", [0, 1, 7, 8, 20, 200, 700])
def test_damaged_safetensors(length):
    Path("a.safetensors").write_bytes(bytes_of("safetensors")[:length])
    with pytest.raises(LoadingError, match=r"^a.safetensors (cannot be read, it is damaged|is empty)"):
        load_weights(net(), "a.safetensors")


@pytest.mark.parametrize("old", [False, True])
def test_no_truncation_and_no_flipped_byte_escapes(old):
    """Whatever bytes there are: tensors or one line, and nothing executed."""
    whole = bytes_of("pt", old)
    for index in range(0, len(whole), max(1, len(whole) // 60)):
        for content in (whole[:index], whole[:index] + bytes([whole[index] ^ 0xFF]) + whole[index + 1 :]):
            Path("a.pt").write_bytes(content)
            assert "\n" not in message_of(lambda: load_weights(net(), "a.pt"))


def test_paths_and_keys_that_would_steer_a_terminal():
    name = "a\x1b[31m\nb.pt"
    for content in ({"\x1b[2J": torch.ones(1)}, {"\n": 3}, Plain(), torch.ones(1)):
        torch.save(content, name)
        with pytest.raises(LoadingError, match=r"^a\\x1b\[31m b.pt") as caught:
            load_weights(net(), name)
        assert str(caught.value).isprintable()


def test_messages_end():
    torch.save({f"{index}" * 5000: torch.ones(1) for index in range(9)}, "a.pt")
    assert len(message_of(lambda: load_weights(net(), "a.pt"))) <= 1500


def test_no_such_file():
    Path("weights.pt").write_bytes(b"x")
    Path("folder.pt").mkdir()
    for path, message in [
        ("wieghts.pt", r"^there is no file wieghts.pt; did you mean 'weights.pt'\?$"),
        ("nowhere/w.pt", r"^there is no file nowhere/w.pt$"),
        ("folder.pt", r"^folder.pt is a folder, not a file$"),
    ]:
        with pytest.raises(LoadingError, match=message):
            load_weights(net(), path)


def test_without_safetensors(monkeypatch):
    safetensors.torch.save_file(net().state_dict(), "a.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(LoadingError, match=r"needs safetensors: pip install 'normscope\[safetensors\]'$"):
        load_weights(net(), "a.safetensors")


def test_tensors_are_read_when_used():
    torch.save({"x": torch.zeros(1)}, "small.pt")
    torch.save({"x": torch.zeros(10_000_000)}, "large.pt")
    read_tensors("small.pt")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = read_tensors("large.pt")
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert tensors["x"].shape == (10_000_000,)
    assert faults < 2_000  # pages of 4 kB; all of it would be 10,000
