from __future__ import annotations

import copy
import itertools
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

import normscope as ns
from normscope.nn import (
    DecomposedBatchNorm,
    DecomposedBatchNorm1d,
    DecomposedBatchNorm2d,
    DecomposedBatchNorm3d,
    LazyDecomposedBatchNorm1d,
    LazyDecomposedBatchNorm2d,
    LazyDecomposedBatchNorm3d,
    convert,
)
from reference.nn import STATISTICS, VARIANTS, Variant

BOTH = Variant(True, True, "std")
X = torch.linspace(-1, 2, 4 * 3 * 6 * 6).sin().reshape(4, 3, 6, 6)
COUNTERPARTS = [
    (nn.BatchNorm1d, DecomposedBatchNorm1d),
    (nn.BatchNorm2d, DecomposedBatchNorm2d),
    (nn.BatchNorm3d, DecomposedBatchNorm3d),
    (nn.SyncBatchNorm, DecomposedBatchNorm),
    (DecomposedBatchNorm2d, DecomposedBatchNorm2d),
]
LAZY_COUNTERPARTS = [
    (nn.LazyBatchNorm1d, LazyDecomposedBatchNorm1d, DecomposedBatchNorm1d),
    (nn.LazyBatchNorm2d, LazyDecomposedBatchNorm2d, DecomposedBatchNorm2d),
    (nn.LazyBatchNorm3d, LazyDecomposedBatchNorm3d, DecomposedBatchNorm3d),
]


@pytest.fixture(autouse=True)
def _own_generator() -> Iterator[None]:
    """torch's layers draw their weights from the global generator: give it a seed, and take it back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


class Block(nn.Module):
    """A residual block whose one batch norm is used under two names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norm1 = self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.relu(self.norm1(self.conv1(x)), inplace=True)
        return x + self.norm2(self.conv2(y))


def network() -> nn.Sequential:
    shared = Block(5)
    model = nn.Sequential(
        nn.Conv2d(3, 5, 3),
        nn.BatchNorm2d(5, momentum=None),
        shared,
        nn.ModuleDict({"inner": nn.ModuleList([nn.SyncBatchNorm(5), nn.InstanceNorm2d(5, affine=True)])})["inner"][0],
        shared,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.BatchNorm1d(5, affine=False),
        nn.Linear(5, 5),
        nn.BatchNorm1d(5, eps=1e-3, bias=False),
    )
    for _ in range(3):
        model(torch.randn(4, 3, 6, 6))
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.5, 0.2)
    return model


def snapshot(model: nn.Module) -> tuple[Any, ...]:
    state = {name: value.clone() for name, value in model.state_dict(keep_vars=True).items()}
    kinds = [(name, id(m), type(m), m.training, set(vars(m))) for name, m in model.named_modules()]
    return kinds, [id(p) for p in model.parameters()], state, torch.random.get_rng_state()


def assert_unchanged(before: tuple[Any, ...], model: nn.Module) -> None:
    after = snapshot(model)
    assert after[:2] == before[:2]
    assert list(after[2]) == list(before[2])
    assert all(torch.equal(after[2][name], before[2][name]) for name in before[2])
    assert torch.equal(after[3], before[3])


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_to_both_on_changes_nothing(training):
    model = network().train(training)
    converted = convert(model, recenter=True, rescale=True)
    assert list(converted.state_dict()) == list(model.state_dict())
    assert not any(isinstance(m, _BatchNorm) for m in converted.modules())
    x = X.clone().requires_grad_()
    ours, theirs = converted(x), model(x)
    assert torch.equal(ours, theirs)
    for a, b in zip(
        torch.autograd.grad(ours.pow(2).sum(), [x, *converted.parameters()]),
        torch.autograd.grad(theirs.pow(2).sum(), [x, *model.parameters()]),
        strict=True,
    ):
        assert torch.equal(a, b)
    for name, value in model.state_dict().items():
        assert torch.equal(converted.state_dict()[name], value)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_leaves_the_original_as_it_is(variant, training):
    model = network().train(training)
    before = snapshot(model)
    converted = convert(model, **variant._asdict())
    converted.train()(X)
    converted.zero_grad()
    for tensor in (*converted.parameters(), *converted.buffers()):
        tensor.data.fill_(7)
    assert_unchanged(before, model)
    mine = {id(t) for t in (*model.modules(), *model.parameters(), *model.buffers())}
    assert mine.isdisjoint(id(t) for t in (*converted.modules(), *converted.parameters(), *converted.buffers()))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_carries_everything_over(variant):
    model = network()
    model[1].eval()
    model[1].weight.requires_grad_(False)
    model[2].norm1.double().to("meta")
    converted = convert(model, **variant._asdict())
    for (name, old), new in zip(model.named_modules(), converted.modules(), strict=True):
        assert new.training == old.training, name
        if not isinstance(old, _BatchNorm):
            assert type(new) is type(old), name
            continue
        assert isinstance(new, DecomposedBatchNorm), name
        for attribute in ("num_features", "eps", "momentum", "affine", "track_running_stats"):
            assert getattr(new, attribute) == getattr(old, attribute), name
        assert (new.recenter, new.rescale) == variant[:2]
        assert new.scale == variant.scale
        unused = {"running_mean", "running_var"} - set(STATISTICS[variant])
        if not STATISTICS[variant]:
            unused.add("num_batches_tracked")
        for attribute in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            a, b = getattr(new, attribute), getattr(old, attribute)
            if b is None or attribute in unused:
                assert a is None
            else:
                assert (a.dtype, a.device, a.requires_grad) == (b.dtype, b.device, b.requires_grad)
                assert a.device.type == "meta" or torch.equal(a, b)
        if "running_mean_square" in STATISTICS[variant]:
            expected = old.running_var + old.running_mean.square()
            square = new.running_mean_square
            assert (square.dtype, square.device) == (expected.dtype, expected.device)
            assert square.device.type == "meta" or torch.equal(square, expected)
        else:
            assert new.running_mean_square is None


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_converted_layer_is_like_a_new_one_with_the_same_state(variant):
    source = nn.BatchNorm2d(3, eps=0.01, momentum=0.3)
    source(X)
    new = DecomposedBatchNorm2d(3, eps=0.01, momentum=0.3, **variant._asdict())
    new.load_state_dict(source.state_dict())
    converted = convert(source, **variant._asdict())
    assert repr(converted) == repr(new)
    assert list(vars(converted)) == [*vars(source), "recenter", "rescale", "scale"]
    for training in (False, True, False):
        assert torch.equal(converted.train(training)(X), new.train(training)(X))
    assert list(converted.state_dict()) == list(new.state_dict())


@pytest.mark.parametrize("inplace", [True, False])
@pytest.mark.parametrize(("source", "target"), COUNTERPARTS)
def test_the_root_may_be_the_layer(source, target, inplace):
    layer = source(3)
    weight = layer.weight
    converted = convert(layer, inplace=inplace)
    assert type(converted) is target
    assert (converted.recenter, converted.rescale) == (True, False)
    assert (converted is layer, converted.weight is weight) == (inplace, inplace)
    assert not hasattr(converted, "process_group")


def test_inplace_keeps_every_object():
    model = network()
    modules, parameters = list(model.modules()), list(model.parameters())
    mean, variance = model[1].running_mean, model[1].running_var
    assert convert(model, recenter=True, rescale=True, inplace=True) is model
    assert all(a is b for a, b in zip(model.modules(), modules, strict=True))
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert model[1].running_mean is mean
    assert model[1].running_var is variance
    assert not any(isinstance(m, _BatchNorm) for m in model.modules())


@pytest.mark.parametrize("inplace", [True, False])
def test_shared_layers_stay_shared_and_tied_parameters_tied(inplace):
    model = network()
    model[3].weight = model[1].weight
    model.plain_list = [model[1]]  # known to the user's code, not to torch
    converted = convert(model, inplace=inplace)
    assert converted[2] is converted[4]
    assert converted[2].norm1 is converted[2].norm2
    assert converted[3].weight is converted[1].weight
    assert converted.plain_list[0] is converted[1]


def test_hooks_and_attributes_stay():
    layer = nn.BatchNorm1d(3)
    calls: list[str] = []
    handle = layer.register_forward_hook(lambda module, args, output: calls.append(type(module).__name__))
    layer.tag = "mine"
    convert(layer, inplace=True)
    layer(torch.randn(4, 3))
    handle.remove()
    layer(torch.randn(4, 3))
    assert calls == ["DecomposedBatchNorm1d"]
    assert layer.tag == "mine"


def test_buffers_that_are_not_persistent_stay_so():
    layer = nn.BatchNorm1d(3)
    layer.register_buffer("running_mean", layer.running_mean, persistent=False)
    assert list(convert(layer, rescale=True).state_dict()) == ["weight", "bias", "running_var", "num_batches_tracked"]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_statistics_removed_by_the_user_stay_removed(variant, training):
    layer = nn.BatchNorm2d(3)
    layer.running_mean = layer.running_var = None
    converted = convert(layer, **variant._asdict())
    assert [
        n for n in ("running_mean", "running_var", "running_mean_square") if getattr(converted, n) is not None
    ] == []
    fresh = DecomposedBatchNorm2d(3, track_running_stats=False, **variant._asdict())
    assert torch.equal(converted.train(training)(X), fresh(X))
    if STATISTICS[variant]:  # otherwise the layer does not know it any more
        again = convert(converted, **BOTH._asdict())
        assert again.running_mean is None
        assert again.running_var is None


def test_without_tracking_there_is_nothing_to_carry():
    for source, target in itertools.product(VARIANTS, VARIANTS):
        layer = DecomposedBatchNorm2d(3, track_running_stats=False, **source._asdict())
        assert list(convert(layer, **target._asdict()).buffers()) == []


@pytest.mark.parametrize(
    ("source", "target"), list(itertools.product(VARIANTS, VARIANTS)), ids=lambda v: "-".join(map(str, v))
)
def test_between_variants(source, target):
    """What is kept is carried, what can be derived is derived, the rest starts afresh with a warning."""
    layer = DecomposedBatchNorm2d(3, dtype=torch.float64, **source._asdict())
    layer(X.double())
    known = {name: getattr(layer, name) for name in STATISTICS[source]}
    if {"running_mean", "running_var"} <= known.keys():
        known["running_mean_square"] = known["running_var"] + known["running_mean"].square()
    missing = [name for name in STATISTICS[target] if name not in known]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        converted = convert(nn.Sequential(nn.Identity(), layer), **target._asdict())[1]
    assert bool(caught) == bool(missing)
    if missing:
        assert re.search(r"afresh in 1 layer\(s\).*: 1\. Run some batches in train mode", str(caught[0].message))
        assert caught[0].category is UserWarning
        assert caught[0].filename == __file__
    initial = {"running_mean": 0.0, "running_var": 1.0, "running_mean_square": 1.0}
    for name in STATISTICS[target]:
        expected = torch.full((3,), initial[name], dtype=torch.float64) if name in missing else known[name]
        assert torch.equal(getattr(converted, name), expected)
    if STATISTICS[target]:
        assert converted.num_batches_tracked == (1 if STATISTICS[source] else 0)
    new = DecomposedBatchNorm2d(3, **target._asdict())
    assert list(converted.state_dict()) == list(new.state_dict())


def test_a_cumulative_average_that_starts_afresh_counts_from_zero():
    layer = DecomposedBatchNorm2d(3, momentum=None, rescale=False)
    for _ in range(5):
        layer(X)
    with pytest.warns(UserWarning, match="afresh"):
        converted = convert(layer, rescale=True)
    converted(X)
    torch.testing.assert_close(converted.running_var, X.var((0, 2, 3)))


@pytest.mark.parametrize(("source", "lazy", "eager"), LAZY_COUNTERPARTS)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("inplace", [True, False])
def test_lazy_layers_stay_lazy(source, lazy, eager, variant, affine, inplace):
    model = nn.Sequential(source(eps=0.01, affine=affine, dtype=torch.float64))
    weight = model[0].weight
    converted = convert(model, inplace=inplace, **variant._asdict())
    assert type(converted[0]) is lazy
    assert not inplace or converted[0].weight is weight
    assert inplace or (type(model[0]) is source and model[0].has_uninitialized_params())
    assert all(is_lazy(b) for name, b in converted[0].named_buffers() if name != "num_batches_tracked")
    x = torch.rand(4, 3, *[2] * (eager._dimensions[-1] - 2), dtype=torch.float64)
    fresh = eager(3, eps=0.01, affine=affine, dtype=torch.float64, **variant._asdict())
    assert torch.equal(converted(x), fresh(x))
    assert type(converted[0]) is eager
    assert list(converted[0].state_dict()) == list(fresh.state_dict())


def test_lazy_layers_between_variants():
    model = nn.Sequential(nn.LazyBatchNorm2d(affine=False))
    for variant in (*VARIANTS, *reversed(VARIANTS)):  # without a warning: there was nothing to keep
        model = convert(model, **variant._asdict())
    model(X)
    assert repr(model[0]) == repr(DecomposedBatchNorm2d(3, affine=False, bias=False))


def test_what_a_lazy_layer_has_loaded_is_kept():
    lazy = LazyDecomposedBatchNorm2d(rescale=False)
    state = DecomposedBatchNorm2d(3, rescale=False).state_dict()
    lazy.load_state_dict({**state, "weight": torch.tensor([1.0, 2.0, 3.0])})
    converted = convert(lazy, rescale=True)
    converted(X)
    assert converted.weight.tolist() == [1.0, 2.0, 3.0]
    assert converted.running_var.shape == (3,)


def test_a_network_without_batch_norm_is_copied():
    model = nn.Sequential(nn.Linear(3, 3), nn.GroupNorm(1, 3), nn.InstanceNorm1d(3))
    converted = convert(model)
    assert [type(m) for m in converted] == [type(m) for m in model]
    assert converted is not model


def test_fresh_statistics_of_a_layer_without_tensors_are_where_the_model_is():
    model = nn.Sequential(
        nn.Linear(3, 3, dtype=torch.float64), DecomposedBatchNorm1d(3, affine=False, recenter=False, rescale=False)
    )
    with pytest.warns(UserWarning, match="afresh"):
        converted = convert(model, rescale=True)
    assert converted[1].running_var.dtype == torch.float64
    converted(torch.randn(4, 3, dtype=torch.float64))
    assert converted[1].num_batches_tracked == 1


def test_the_default_is_recentering_alone():
    layer = ns.nn.convert(nn.BatchNorm2d(3))
    assert (layer.recenter, layer.rescale) == (True, False)


class Harmless(nn.BatchNorm2d):
    """Adds names and a constructor, and overrides nothing that matters."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=0.01)

    def extra_repr(self) -> str:
        return "mine"

    def helper(self) -> int:
        return 1


class AnyDimension(nn.BatchNorm2d):
    def _check_input_dim(self, x: Tensor) -> None:
        pass


def test_harmless_subclasses_are_converted():
    assert type(convert(Harmless(3))) is DecomposedBatchNorm2d
    converted = convert(AnyDimension(3), rescale=True)
    assert type(converted) is DecomposedBatchNorm
    assert torch.equal(converted(X[..., 0]), AnyDimension(3)(X[..., 0]))


class OwnForward(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(super().forward(x))


class AlwaysEvaluates(nn.BatchNorm2d):
    def train(self, mode: bool = True) -> AlwaysEvaluates:
        return super().train(False)


class Inherits(OwnForward):
    pass


class OwnState(nn.BatchNorm2d):
    def __init__(self) -> None:
        super().__init__(3)
        self.temperature = nn.Parameter(torch.ones(()))


class OwnChild(nn.BatchNorm2d):
    def __init__(self) -> None:
        super().__init__(3)
        self.activation = nn.ReLU()


def patched() -> nn.Module:
    layer = nn.BatchNorm2d(3)
    layer.forward = torch.relu
    return layer


def parametrized() -> nn.Module:
    layer = nn.BatchNorm2d(3)
    nn.utils.parametrize.register_parametrization(layer, "weight", nn.Softplus(), unsafe=True)
    return layer


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit itself
        return torch.jit.script(nn.BatchNorm2d(3))


@pytest.mark.parametrize("inplace", [True, False])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OwnForward(3), r"layer 1\.0 is a OwnForward, which overrides \['forward'\]: .*Replace it"),
        (lambda: Inherits(3), r"layer 1\.0 is a Inherits, which overrides \['forward'\]"),
        (lambda: AlwaysEvaluates(3), r"layer 1\.0 is a AlwaysEvaluates, which overrides \['train'\]"),
        (patched, r"layer 1\.0 is a BatchNorm2d, which overrides \['forward'\]"),
        (OwnState, r"layer 1\.0 \(OwnState\) also has \['temperature'\]"),
        (OwnChild, r"layer 1\.0 \(OwnChild\) also has \['activation'\]"),
        (parametrized, r"layer 1\.0 \(ParametrizedBatchNorm2d\) has parametrizations.*remove_parametrizations"),
        (scripted, r"layer 1\.0 is a BatchNorm2d compiled by TorchScript: convert the model before"),
    ],
)
def test_refuses_layers_that_do_more(make: Callable[[], nn.Module], message, inplace):
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(make()))
    before = snapshot(model)
    with pytest.raises(TypeError, match=message):
        convert(model, inplace=inplace)
    assert_unchanged(before, model)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (([nn.BatchNorm1d(3)],), TypeError, r"convert needs a torch\.nn\.Module, got list"),
        ((nn.BatchNorm1d,), TypeError, r"convert needs a torch\.nn\.Module, got type"),
    ],
)
def test_refuses_what_is_not_a_module(call, error, message):
    with pytest.raises(error, match=message):
        convert(*call)


def test_refuses_an_unknown_scale():
    model = nn.Sequential(nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match="scale must be 'auto', 'std' or 'rms', got 'l2'"):
        convert(model, scale="l2", inplace=True)
    assert type(model[0]) is nn.BatchNorm1d


@pytest.mark.parametrize(("size", "warns"), [(1, False), (4, True)])
def test_warns_when_statistics_will_no_longer_be_synchronized(monkeypatch, size, warns):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: size)
    model = nn.Sequential(nn.BatchNorm2d(3), nn.SyncBatchNorm(3))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        convert(model)
    messages = [str(w.message) for w in caught]
    assert len(messages) == int(warns)
    assert not warns or re.search(r"not of all 4 processes as SyncBatchNorm does: 1$", messages[0])


def test_a_compiled_model_is_converted_inside():
    torch.compiler.reset()
    model = torch.compile(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), backend="eager")
    model(X)
    converted = convert(model, rescale=True)
    plain = convert(copy.deepcopy(model._orig_mod), rescale=True)
    assert type(plain[1]) is DecomposedBatchNorm2d
    torch.testing.assert_close(converted(X), plain(X))
    convert(model, inplace=True)  # an already compiled graph notices
    torch.testing.assert_close(model.eval()(X), model._orig_mod(X))
    assert type(model._orig_mod[1]) is DecomposedBatchNorm2d
