"""Models by name: instances, classes and factories, their keywords, and how failure reads."""

from __future__ import annotations

import ast
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from normscope.loading import LoadingError, load_model, parse_keyword

MODULE = """
import sys
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=3, *, bias=True):
        super().__init__()
        self.layer = nn.Linear(2, width, bias=bias)

instance = Net()
constant = {"a": 1}

def factory(depth, width=4):
    return nn.Sequential(*[nn.Linear(width, width) for _ in range(depth)])

def anything(**settings):
    return Net(**settings)

def no_keywords():
    return Net()

def positional(width, /):
    return Net(width)

def with_optimizer():
    net = Net()
    return net, torch.optim.SGD(net.parameters(), lr=0.1)

def forgot():
    Net()

def gives_class():
    return Net

def gives_tensor():
    return torch.ones(2, 3)

def gives_state():
    return Net().state_dict()

def raises(width=3):
    if width > 2:
        raise RuntimeError("width\\n  is too large")

def raises_inside():
    return nn.Linear("a", 3)

def leaves():
    sys.exit(3)

def half_eval():
    net = Net()
    net.eval()
    return net

def draws():
    import numpy, random
    net = Net()
    net.extra = numpy.random.rand(), random.random()
    return net
"""


@pytest.fixture
def zoo(write):
    write("zoo_of_models.py", MODULE)
    return "zoo_of_models"


def test_an_instance_is_itself(zoo):
    assert load_model(f"{zoo}:instance") is load_model(f"{zoo}:instance")


@pytest.mark.parametrize(
    ("name", "keywords", "shapes"),
    [
        ("Net", {}, [(3, 2), (3,)]),
        ("Net", {"width": 5, "bias": False}, [(5, 2)]),
        ("factory", {"depth": 2}, [(4, 4), (4,), (4, 4), (4,)]),
        ("factory", {"depth": 1, "width": 2}, [(2, 2), (2,)]),
        ("anything", {"bias": False, "width": 1}, [(1, 2)]),
        ("no_keywords", None, [(3, 2), (3,)]),
    ],
)
def test_classes_and_factories_are_called_with_the_keywords(zoo, name, keywords, shapes):
    model = load_model(f"{zoo}:{name}", keywords)
    assert [tuple(p.shape) for p in model.parameters()] == shapes


def test_a_class_of_torch(zoo):
    assert load_model("torch.nn:Linear", {"in_features": 2, "out_features": 3}).out_features == 3


def test_the_mode_is_left_as_it_was_made(zoo):
    assert load_model(f"{zoo}:Net").training
    assert not load_model(f"{zoo}:half_eval").training


def test_weights_are_loaded_into_it(zoo, tmp_path):
    weights = {"layer.weight": torch.full((3, 2), 7.0), "layer.bias": torch.zeros(3)}
    torch.save(weights, tmp_path / "w.pt")
    assert (load_model(f"{zoo}:Net", weights=tmp_path / "w.pt").layer.weight == 7).all()
    with pytest.raises(LoadingError, match=r"w.pt does not fit Net: 2 of another shape"):
        load_model(f"{zoo}:Net", {"width": 4}, weights=tmp_path / "w.pt")


def test_the_seed_decides_the_weights_and_the_global_generators_stay(zoo):
    def state() -> list[object]:
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the global generator is the one in question
        return [torch.get_rng_state().tolist(), kind, keys.tolist(), rest, random.getstate()]

    before = state()
    first, again, other = (load_model(f"{zoo}:draws", seed=seed) for seed in (0, 0, 1))
    for failing in ("raises", "forgot"):
        with pytest.raises(LoadingError):
            load_model(f"{zoo}:{failing}")
    assert state() == before
    assert torch.equal(first.layer.weight, again.layer.weight)
    assert first.extra == again.extra
    assert not torch.equal(first.layer.weight, other.layer.weight)
    assert len({*first.extra, *other.extra}) == 4


@pytest.mark.parametrize(
    ("name", "keywords", "message"),
    [
        ("instance", {"width": 3}, r":instance is a model already, of class Net: it takes no width$"),
        ("constant", {}, r":constant is a dict: name a torch.nn.Module, a class of them or a factory$"),
        (
            "Net",
            {"widht": 3},
            r"does not take the keyword 'widht'; did you mean 'width'\? It takes width=3, bias=True$",
        ),
        ("Net", {"qqq": 3}, r"does not take the keyword 'qqq'; it takes width=3, bias=True$"),
        ("factory", {}, r":factory needs a value for depth; it takes depth, width=4$"),
        ("no_keywords", {"a": 1}, r"does not take the keyword 'a'; it takes no keywords$"),
        (
            "anything",
            {"qqq": 1},
            r":anything raised TypeError: .*unexpected keyword argument 'qqq' \(zoo_of_models.py:18\)",
        ),
        ("positional", {}, r":positional raised TypeError: positional\(\) missing 1 required positional argument"),
        ("with_optimizer", {}, r"returned a tuple of 2 \(Net, SGD\), not a torch.nn.Module: name what makes the model"),
        ("forgot", {}, r":forgot returned None, not a torch.nn.Module"),
        ("gives_class", {}, r"returned the class Net, not"),
        ("gives_tensor", {}, r"returned a tensor of shape \(2, 3\), not"),
        ("gives_state", {}, r"returned an OrderedDict, not"),
        ("raises", {}, r":raises raised RuntimeError: width is too large \(zoo_of_models.py:44\)$"),
        ("raises_inside", {}, r":raises_inside raised TypeError: .* \(zoo_of_models.py:47\)$"),
        ("leaves", {}, r":leaves raised SystemExit: 3 \(zoo_of_models.py:50\)$"),
        ("nett", {}, r"^zoo_of_models has no 'nett'; there is"),
    ],
)
def test_what_is_refused(zoo, name, keywords, message):
    with pytest.raises(LoadingError, match=message) as caught:
        load_model(f"{zoo}:{name}", keywords)
    assert "\n" not in str(caught.value)


# --- keywords -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("k=3", 3), ("k=-1e-5", -1e-5), ("k=None", None), ("k=True", True), ("k=(1, 2)", (1, 2)),
        ("k={'a': [1]}", {"a": [1]}),
        ("k='3'", "3"), ("k=", ""), ("k=none", "none"), ("k=true", "true"), ("k=a=b", "a=b"), ("k=relu", "relu"),
        ("k=1is", "1is"), ("k='\\d'", "\\d"), ("k=C:\\new", "C:\\new"),
        ("k=__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("k=" + "(" * 5000, "(" * 5000), ("k=\0", "\0"), ("k={[]: 1}", "{[]: 1}"),
    ],
)  # fmt: skip
def test_keywords_are_literals_or_text(text, value):
    assert parse_keyword(text) == ("k", value)
    assert type(parse_keyword(text)[1]) is type(value)


@pytest.mark.parametrize("text", ["depth", "=3", "a b=3", "3=3", "", "--depth=3", "a.b=1"])
def test_what_is_no_keyword(text):
    with pytest.raises(LoadingError, match=r"is not of the form key=value, such as depth=3$"):
        parse_keyword(text)


@given(st.text())
def test_any_text_is_a_literal_or_itself(text):
    key, value = parse_keyword(f"key={text}")
    assert key == "key"
    assert value == text or value == ast.literal_eval(text) or value != value
