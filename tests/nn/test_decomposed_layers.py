from __future__ import annotations

import copy
import io
import itertools
import pickle

import pytest
import torch
from torch import nn

from normscope.nn import (
    DecomposedBatchNorm,
    DecomposedBatchNorm1d,
    DecomposedBatchNorm2d,
    DecomposedBatchNorm3d,
    LazyDecomposedBatchNorm1d,
    LazyDecomposedBatchNorm2d,
    LazyDecomposedBatchNorm3d,
)
from normscope.nn.functional import decomposed_batch_norm
from reference import nn as reference
from reference.nn import STATISTICS, VARIANTS, Variant

LAYERS = [
    (DecomposedBatchNorm, LazyDecomposedBatchNorm1d, (4, 3)),
    (DecomposedBatchNorm1d, LazyDecomposedBatchNorm1d, (4, 3)),
    (DecomposedBatchNorm1d, LazyDecomposedBatchNorm1d, (4, 3, 2)),
    (DecomposedBatchNorm2d, LazyDecomposedBatchNorm2d, (2, 3, 2, 2)),
    (DecomposedBatchNorm3d, LazyDecomposedBatchNorm3d, (2, 3, 2, 1, 2)),
]
BOTH = Variant(True, True, "std")


def trained(variant: Variant, rng: torch.Generator, **kwargs) -> DecomposedBatchNorm1d:
    layer = DecomposedBatchNorm1d(3, **kwargs, **variant._asdict())
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.rand(3, generator=rng) + 0.5)
    for _ in range(3):
        layer(torch.randn(8, 3, generator=rng) * 2 + 1)
    return layer


@pytest.mark.parametrize(("layer_class", "lazy_class", "shape"), LAYERS)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("track", [True, False], ids=["tracking", "not tracking"])
@pytest.mark.parametrize(("affine", "bias"), [(True, True), (True, False), (False, True)])
def test_layers_agree_with_the_function(layer_class, lazy_class, shape, variant, track, affine, bias, rng):
    layer = layer_class(3, 0.01, 0.3, affine, track, bias=bias, **variant._asdict())
    assert (layer.weight is not None, layer.bias is not None) == (affine, affine and bias)
    names = STATISTICS[variant] if track else []
    running = {name: getattr(layer, name).clone() for name in names}
    for training, _ in itertools.product((True, False), range(2)):
        x = torch.randn(shape, generator=rng)
        y = layer.train(training)(x)
        expected = decomposed_batch_norm(
            x,
            weight=layer.weight,
            bias=layer.bias,
            training=training or not track,
            momentum=0.3,
            eps=0.01,
            **running,
            **variant._asdict(),
        )
        assert torch.equal(y, expected)
        assert all(torch.equal(getattr(layer, name), running[name]) for name in names)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_cumulative_average(variant, rng):
    layer = DecomposedBatchNorm1d(3, momentum=None, **variant._asdict())
    batches = [torch.randn(5, 3, generator=rng, dtype=torch.float64) for _ in range(3)]
    for batch in batches:
        layer(batch.float())
    statistics = [reference.batch_statistics(batch) for batch in batches]
    for name in STATISTICS[variant]:
        mean = torch.tensor([s[name] for s in statistics]).mean(0)
        torch.testing.assert_close(getattr(layer, name), mean)
        assert layer.num_batches_tracked == 3


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_tracking_can_be_stopped_as_in_torch(variant, rng):
    """Statistics that are there but no longer tracked stay as they are, and evaluation goes on using them."""
    layer = trained(variant, rng)
    before = copy.deepcopy(layer)
    layer.track_running_stats = False
    layer(torch.randn(4, 3, generator=rng))
    assert all(torch.equal(a, b) for a, b in zip(layer.buffers(), before.buffers(), strict=True))
    x = torch.randn(4, 3, generator=rng)
    assert torch.equal(layer.eval()(x), before.eval()(x))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_keeps_the_statistics_that_it_uses_and_no_others(variant):
    names = STATISTICS[variant]
    keys = ["weight", "bias", *names, *(["num_batches_tracked"] if names else [])]
    layer = DecomposedBatchNorm2d(3, **variant._asdict())
    assert list(layer.state_dict()) == keys
    for name in ("running_mean", "running_var", "running_mean_square", "num_batches_tracked"):
        assert (getattr(layer, name) is not None) == (name in keys)
    assert list(DecomposedBatchNorm2d(3, track_running_stats=False, **variant._asdict()).state_dict()) == keys[:2]


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_loads_a_trained_batch_norm_strictly(variant, assign, rng):
    source = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    for _ in range(3):
        source(torch.randn(8, 3, generator=rng))
    state = source.state_dict()
    target = nn.Sequential(nn.Linear(3, 3), DecomposedBatchNorm1d(3, **variant._asdict()))
    target.load_state_dict(state, strict=True, assign=assign)
    mean, variance = source[1].running_mean, source[1].running_var
    values = {"running_mean": mean, "running_var": variance, "running_mean_square": variance + mean.square()}
    for name in STATISTICS[variant]:
        assert torch.equal(getattr(target[1], name), values[name])
        assert target[1].num_batches_tracked == 3
    assert set(state) == set(source.state_dict())  # not modified


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_loads_a_state_without_the_number_of_batches(variant, rng):
    state = dict(trained(BOTH, rng).state_dict())  # a plain dict has no version, as before version 2
    del state["num_batches_tracked"]
    layer = trained(variant, rng)
    layer.load_state_dict(state, strict=True)
    # torch leaves the count as it is
    assert layer.num_batches_tracked is None or layer.num_batches_tracked == 3


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (Variant(True, False, "std"), BOTH, r"Missing key.*running_var"),
        (Variant(True, False, "std"), Variant(False, True, "rms"), r"Missing key.*running_mean_square"),
        (Variant(False, True, "rms"), BOTH, r"Missing key.*running_mean.*running_var"),
        (Variant(False, True, "std"), Variant(False, True, "rms"), r"Missing key.*running_mean_square"),
        (Variant(False, False, "rms"), BOTH, r"Missing key.*num_batches_tracked"),
    ],
)
def test_refuses_a_state_without_what_it_needs(source, target, message, rng):
    state = trained(source, rng).state_dict()
    with pytest.raises(RuntimeError, match=message):
        trained(target, rng).load_state_dict(state)


def test_refuses_what_is_not_a_statistic(rng):
    state = trained(BOTH, rng).state_dict()
    state["gamma"] = torch.ones(3)
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "gamma"'):
        DecomposedBatchNorm1d(3, rescale=False).load_state_dict(state)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_repr_is_the_call_that_makes_it(variant):
    names = {c.__name__: c for c in (DecomposedBatchNorm, DecomposedBatchNorm1d, DecomposedBatchNorm2d)}
    layer = DecomposedBatchNorm2d(8, 1e-3, None, bias=False, **variant._asdict())
    text = repr(layer)
    assert repr(eval(text, names)) == text
    assert text == (
        "DecomposedBatchNorm2d(8, eps=0.001, momentum=None, affine=True, track_running_stats=True, bias=False, "
        f"recenter={variant.recenter}, rescale={variant.rescale}, scale='{variant.scale}')"
    )


@pytest.mark.parametrize(
    ("recenter", "word"), [(True, "std"), (False, "rms")], ids=["with recentering", "without recentering"]
)
def test_repr_shows_what_auto_means(recenter, word):
    assert repr(DecomposedBatchNorm1d(3, recenter=recenter)).endswith(f"scale='{word}')")


@pytest.mark.parametrize(
    ("layer_class", "dimensions", "message"),
    [
        (DecomposedBatchNorm, [1], "expected at least 2D input"),
        (DecomposedBatchNorm1d, [1, 4], "expected 2D or 3D input"),
        (DecomposedBatchNorm2d, [3, 5], "expected 4D input"),
        (DecomposedBatchNorm3d, [4, 6], "expected 5D input"),
    ],
)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_refuses_other_dimensions(layer_class, dimensions, message, variant):
    for d in dimensions:
        with pytest.raises(ValueError, match=rf"{message} \(got {d}D input\)"):
            layer_class(2, **variant._asdict())(torch.ones([2] * d))


def test_refuses_an_unknown_scale():
    with pytest.raises(ValueError, match="scale must be 'auto', 'std' or 'rms', got 'var'"):
        DecomposedBatchNorm2d(3, scale="var")


@pytest.mark.parametrize("variant", [v for v in VARIANTS if STATISTICS[v]], ids=str)
def test_evaluation_refuses_a_statistic_that_is_missing_alone(variant):
    layer = DecomposedBatchNorm1d(3, **variant._asdict()).eval()
    x = torch.ones(4, 3)
    layer(x)
    setattr(layer, STATISTICS[variant][-1], None)
    if len(STATISTICS[variant]) == 1:
        layer(x)  # none is left: those of the batch
    else:
        with pytest.raises(RuntimeError, match=f"{STATISTICS[variant][-1]} must be defined in evaluation mode"):
            layer(x)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_copies_and_pickles(variant, rng):
    layer = trained(variant, rng, momentum=None).eval()
    x = torch.randn(4, 3, generator=rng)
    stream = io.BytesIO()
    torch.save(layer.state_dict(), stream)
    stream.seek(0)
    loaded = DecomposedBatchNorm1d(3, momentum=None, **variant._asdict()).eval()
    loaded.load_state_dict(torch.load(stream, weights_only=True))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), loaded):
        assert repr(other) == repr(layer)
        assert torch.equal(other(x), layer(x))
        other.train()(x)
        for name in STATISTICS[variant]:
            assert not torch.equal(getattr(other, name), getattr(layer, name))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_resets(variant, rng):
    layer = trained(variant, rng)
    layer.reset_parameters()
    fresh = DecomposedBatchNorm1d(3, **variant._asdict())
    for name, value in fresh.state_dict().items():
        assert torch.equal(layer.state_dict()[name], value)


def test_device_and_dtype():
    layer = DecomposedBatchNorm2d(3, device="meta", dtype=torch.float64)
    assert {t.device.type for t in layer.state_dict().values()} == {"meta"}
    assert {t.dtype for t in layer.state_dict().values()} == {torch.float64, torch.int64}
    assert layer(torch.empty(2, 3, 4, 4, device="meta", dtype=torch.float64)).shape == (2, 3, 4, 4)


def test_is_not_mistaken_for_torch_batch_norm():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), DecomposedBatchNorm2d(4, rescale=False)).eval()
    assert not isinstance(model[1], nn.modules.batchnorm._NormBase)
    assert type(nn.SyncBatchNorm.convert_sync_batchnorm(model)[1]) is DecomposedBatchNorm2d


@pytest.mark.parametrize("wrap", [
    nn.utils.parametrizations.weight_norm,
    nn.utils.parametrizations.spectral_norm,
    nn.utils.parametrizations.orthogonal,
])  # fmt: skip
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_works_beside_parametrized_layers(variant, wrap, rng):
    with torch.random.fork_rng(devices=[]):  # torch's layers and parametrizations draw from the global generator
        torch.manual_seed(0)
        model = nn.Sequential(wrap(nn.Conv2d(3, 4, 3)), DecomposedBatchNorm2d(4, **variant._asdict()), nn.ReLU())
        x = torch.randn(2, 3, 6, 6, generator=rng)
        model(x).square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        expected = copy.deepcopy(model).eval()(x)
        torch.testing.assert_close(model.eval()(x), expected)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_parametrized_weight(variant, rng):
    class Positive(nn.Module):
        def forward(self, raw: torch.Tensor) -> torch.Tensor:
            return raw.exp()

    layer = trained(variant, rng)
    nn.utils.parametrize.register_parametrization(layer, "weight", Positive(), unsafe=True)
    x = torch.randn(4, 3, generator=rng)
    layer(x).square().sum().backward()
    assert layer.parametrizations.weight.original.grad is not None


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_autocast(variant, rng):
    model = nn.Sequential(nn.Linear(5, 3), DecomposedBatchNorm1d(3, **variant._asdict()))
    x = torch.randn(16, 5, generator=rng)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model[0](x)
        y = model[1](hidden)
        loss = y.square().sum()
    loss.backward()
    assert hidden.dtype == y.dtype == torch.bfloat16
    assert all(p.dtype == torch.float32 and p.grad is not None for p in model.parameters())
    expected = reference.differentiable(hidden.double(), *(p.double() for p in model[1].parameters()), variant, 1e-5)
    torch.testing.assert_close(y.double(), expected, rtol=0.01, atol=0.01)


@pytest.mark.parametrize(("layer_class", "lazy_class", "shape"), LAYERS[1:])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize(("affine", "bias"), [(True, True), (True, False), (False, True)])
def test_lazy_layers(layer_class, lazy_class, shape, variant, affine, bias, rng):
    lazy = lazy_class(0.01, 0.3, affine, bias=bias, **variant._asdict())
    layer = layer_class(3, 0.01, 0.3, affine, bias=bias, **variant._asdict())
    x = torch.randn(shape, generator=rng)
    assert lazy_class.__name__ in repr(lazy)
    assert torch.equal(lazy(x), layer(x))
    assert type(lazy) is layer_class
    assert repr(lazy) == repr(layer)
    assert list(lazy.state_dict()) == list(layer.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(lazy.state_dict().values(), layer.state_dict().values(), strict=True))
    assert all(p.requires_grad for p in lazy.parameters())


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_lazy_layers_load_states(variant, rng):
    source = nn.BatchNorm1d(3)
    source(torch.randn(8, 3, generator=rng))
    lazy = LazyDecomposedBatchNorm1d(**variant._asdict())
    lazy.load_state_dict(nn.LazyBatchNorm1d().state_dict())  # not initialized either
    lazy.load_state_dict(source.state_dict())
    expected = DecomposedBatchNorm1d(3, **variant._asdict())
    expected.load_state_dict(source.state_dict())
    x = torch.randn(4, 3, generator=rng)
    assert torch.equal(lazy.eval()(x), expected.eval()(x))
    assert lazy.num_features == 3


def test_making_and_using_layers_leaves_the_global_generator_alone(rng):
    before = torch.random.get_rng_state()
    for variant in VARIANTS:
        trained(variant, rng)
    assert torch.equal(torch.random.get_rng_state(), before)
