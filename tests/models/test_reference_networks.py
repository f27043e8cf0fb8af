"""Every network, in every variant, against its slow twin; its names, its size, its manners."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from normscope import models
from reference import models as reference

Make = Callable[..., nn.Module]

# name, function, its options, the twin, the shape of one sample
CASES = [
    pytest.param(models.mlp, {"in_features": 12, "width": 7, "depth": 3}, reference.mlp, (12,), id="mlp"),
    pytest.param(
        models.mlp, {"in_features": 12, "width": 5, "depth": 1, "bias": True}, reference.mlp, (3, 2, 2), id="mlp-images"
    ),
    pytest.param(models.convnet, {"depth": 3, "width": 4}, reference.convnet, (3, 5, 6), id="convnet"),
    pytest.param(models.vgg, {"depth": 13, "width": 2, "bias": True}, reference.vgg, (3, 32, 32), id="vgg"),
    pytest.param(models.cifar_resnet, {"depth": 8, "width": 3}, reference.cifar_resnet, (3, 8, 8), id="resnet-B"),
    pytest.param(
        models.cifar_resnet,
        {"depth": 14, "width": 2, "shortcut": "A", "in_channels": 1},
        reference.cifar_resnet,
        (1, 9, 8),
        id="resnet-A",
    ),
]
NORMALIZED_LAYERS = ["batch", "recenter", "rescale", "layer"]


@pytest.mark.parametrize("norm", models.NORMS)
@pytest.mark.parametrize(("make", "options", "twin", "shape"), CASES)
def test_agrees_with_its_slow_twin(make, options, twin, shape, norm, rng):
    model = make(**options, norm=norm, activation="leaky_relu").double()
    with torch.no_grad():  # affine parameters away from one and zero, so that leaving them out would show
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5, generator=rng)
    inputs = torch.randn(6, *shape, generator=rng, dtype=torch.float64)
    net = reference.Net(model.state_dict(), norm, "leaky_relu")
    torch.testing.assert_close(model(inputs), twin(net, inputs), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("activation", models.ACTIVATIONS)
def test_every_activation_agrees_with_its_slow_twin(activation, rng):
    model = models.mlp(6, 5, 2, activation=activation).double()
    inputs = torch.randn(4, 6, generator=rng, dtype=torch.float64)
    expected = reference.mlp(reference.Net(model.state_dict(), "batch", activation), inputs)
    torch.testing.assert_close(model(inputs), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("norm", models.NORMS)
@pytest.mark.parametrize(("make", "options", "twin", "shape"), CASES)
def test_trains_copies_and_evaluates(make, options, twin, shape, norm, rng):
    model = make(**options, norm=norm)
    inputs = torch.randn(4, *shape, generator=rng)
    nn.functional.cross_entropy(model(inputs), torch.tensor([0, 1, 2, 3])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    model.eval()
    expected = model(inputs)
    assert expected.shape == (4, 10)
    assert torch.equal(copy.deepcopy(model)(inputs), expected)
    assert torch.equal(pickle.loads(pickle.dumps(model))(inputs), expected)
    loaded = make(**options, norm=norm, seed=1).eval()
    loaded.load_state_dict(model.state_dict())
    assert torch.equal(loaded(inputs), expected)


@pytest.mark.parametrize("activation", models.ACTIVATIONS)
@pytest.mark.parametrize(("make", "options", "twin", "shape"), CASES)
def test_no_module_writes_into_its_input(make, options, twin, shape, activation, rng):
    model = make(**options, activation=activation)
    before: list[tuple[str, torch.Tensor, torch.Tensor]] = []

    def remember(name: str):
        return lambda module, args: before.append((name, args[0], args[0].clone()))

    for name, module in model.named_modules():
        module.register_forward_pre_hook(remember(name))
    model(torch.randn(3, *shape, generator=rng))
    assert before
    for name, inputs, copy_of_inputs in before:
        assert torch.equal(inputs, copy_of_inputs), name


@pytest.mark.parametrize("norm", models.NORMS)
@pytest.mark.parametrize(("make", "options", "twin", "shape"), CASES)
def test_every_module_runs_exactly_once(make, options, twin, shape, norm, rng):
    """So every use of an activation is a module of its own, and a hook can tell one layer from another."""
    model = make(**options, norm=norm)
    calls: list[str] = []
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    for name, module in model.named_modules():
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
    model(torch.randn(3, *shape, generator=rng))
    assert sorted(calls) == sorted(names)


# --- names --------------------------------------------------------------------------------------------------------


def leaves(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if not list(module.children())]


def test_names_of_the_mlp():
    assert leaves(models.mlp(4, 3, 2)) == [
        "flatten",
        "blocks.0.linear",
        "blocks.0.norm",
        "blocks.0.activation",
        "blocks.1.linear",
        "blocks.1.norm",
        "blocks.1.activation",
        "head",
    ]


def test_names_of_the_resnet():
    assert leaves(models.cifar_resnet(8)) == [
        "stem.conv",
        "stem.norm",
        "stem.activation",
        *(f"stage1.0.{layer}" for layer in ("conv1", "norm1", "activation1", "conv2", "norm2", "activation2")),
        *(
            f"stage{stage}.0.{layer}"
            for stage in (2, 3)
            for layer in (
                *("conv1", "norm1", "activation1", "conv2", "norm2"),
                *("shortcut.conv", "shortcut.norm", "activation2"),
            )
        ),
        "pool",
        "flatten",
        "head",
    ]


def test_names_of_the_plain_networks():
    block = ("conv", "norm", "activation")
    assert leaves(models.convnet(2)) == [
        *(f"blocks.{index}.{layer}" for index in (0, 1) for layer in block),
        *("pool", "flatten", "head"),
    ]
    assert leaves(models.vgg(11)) == [
        name
        for stage, convolutions in enumerate((1, 1, 2, 2, 2), start=1)
        for name in (
            *(f"stage{stage}.{index}.{layer}" for index in range(convolutions) for layer in block),
            f"stage{stage}.pool",
        )
    ] + ["pool", "flatten", "head"]


@pytest.mark.parametrize(("make", "options", "twin", "shape"), CASES)
def test_without_a_norm_its_modules_are_gone_and_nothing_else_is(make, options, twin, shape):
    with_norm, without = leaves(make(**options)), leaves(make(**options, norm="none"))
    assert without == [name for name in with_norm if "norm" not in name]
    assert len(without) < len(with_norm)


@pytest.mark.parametrize(("make", "options", "twin", "shape"), CASES)
def test_last_is_one_batch_norm_on_what_the_head_sees(make, options, twin, shape):
    names = leaves(make(**options, norm="last"))
    without = leaves(make(**options, norm="none"))
    model = make(**options, norm="last")
    assert [name for name in names if "norm" in name] == ["last_norm"]
    assert [name for name in names if name != "last_norm"] == without
    dense = make is models.mlp
    assert type(model.last_norm) is (nn.BatchNorm1d if dense else nn.BatchNorm2d)
    assert names[names.index("last_norm") :] == (["last_norm", "head"] if dense else [*names[-4:]])
    assert model.last_norm.num_features == model.head.in_features


@pytest.mark.parametrize(
    ("norm", "dense", "conv"),
    [
        ("batch", "BatchNorm1d", "BatchNorm2d"),
        ("recenter", "DecomposedBatchNorm1d", "DecomposedBatchNorm2d"),
        ("rescale", "DecomposedBatchNorm1d", "DecomposedBatchNorm2d"),
        ("layer", "LayerNorm", "GroupNorm"),
    ],
)
def test_the_module_behind_each_norm(norm, dense, conv):
    for model, expected in (
        (models.mlp(4, 3, 2, norm=norm), dense),
        (models.cifar_resnet(8, norm=norm), conv),
        (models.vgg(11, norm=norm), conv),
        (models.convnet(2, norm=norm), conv),
    ):
        norms = [module for name, module in model.named_modules() if "norm" in name.split(".")[-1]]
        assert {type(module).__name__ for module in norms} == {expected}
        if norm == "layer" and expected == "GroupNorm":
            assert {module.num_groups for module in norms} == {1}
        if norm in ("recenter", "rescale"):
            assert {(module.recenter, module.rescale) for module in norms} == {(norm == "recenter", norm == "rescale")}


# --- sizes --------------------------------------------------------------------------------------------------------


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # Option A: He et al. (2016), table 6, print 0.27M, 0.46M, 0.66M, 0.85M, 1.7M; exact counts by their formula.
        (lambda: models.cifar_resnet(20, shortcut="A"), 269_722),
        (lambda: models.cifar_resnet(32, shortcut="A"), 464_154),
        (lambda: models.cifar_resnet(44, shortcut="A"), 658_586),
        (lambda: models.cifar_resnet(56, shortcut="A"), 853_018),
        (lambda: models.cifar_resnet(110, shortcut="A"), 1_727_962),
        # Option B adds 16·32 + 32·64 weights and 2·32 + 2·64 affine parameters.
        (lambda: models.cifar_resnet(20), 269_722 + 512 + 2048 + 64 + 128),
        (lambda: models.cifar_resnet(20), 272_474),
        # Without norms, 2 parameters for each of the channels 16·7 + 32·6 + 64·6 fewer.
        (lambda: models.cifar_resnet(20, norm="none", shortcut="A"), 269_722 - 2 * (16 * 7 + 32 * 6 + 64 * 6)),
        # The VGGs of width 64 with one linear layer for 10 classes and biased convolutions: A, B, D, E of the paper,
        # whose convolutions have 9.2M, 9.4M, 14.7M and 20.0M parameters.
        (lambda: models.vgg(11, width=64, bias=True, norm="none"), 9_220_480 + 5_130),
        (lambda: models.vgg(13, width=64, bias=True, norm="none"), 9_404_992 + 5_130),
        (lambda: models.vgg(16, width=64, bias=True, norm="none"), 14_714_688 + 5_130),
        (lambda: models.vgg(19, width=64, bias=True, norm="none"), 20_024_384 + 5_130),
        (lambda: models.mlp(64, 100, 3), 64 * 100 + 2 * 100 * 100 + 3 * 200 + 1010),
        (lambda: models.mlp(64, 100, 3, 5, bias=True, norm="none"), 64 * 100 + 2 * 100 * 100 + 300 + 505),
        (lambda: models.convnet(3, 8, in_channels=1, norm="none"), 72 + 2 * 576 + 90),
    ],
)
def test_parameter_counts_of_the_literature(model, expected):
    assert parameters(model()) == expected


def test_layers_of_resnet110_are_numbered_as_in_bjorck():
    model = models.cifar_resnet(110)
    convolutions = [
        name for name, module in model.named_modules() if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
    ]
    assert len(convolutions) == 109
    assert convolutions[0] == "stem.conv"
    assert convolutions[54] == "stage2.8.conv2"  # layer 55, the midpoint
    assert convolutions[-1] == "stage3.17.conv2"


@given(depth=st.integers(-10, 60))
def test_depth_of_a_resnet_counts_its_convolutions_and_head_or_is_refused(depth):
    if depth >= 8 and depth % 6 == 2:
        model = models.cifar_resnet(depth, width=1)
        convolutions = [module for module in model.modules() if getattr(module, "kernel_size", None) == (3, 3)]
        assert len(convolutions) + 1 == depth
        return
    with pytest.raises(ValueError, match="depth") as error:
        models.cifar_resnet(depth, width=1)
    if depth >= 1:
        named = [
            int(word) for word in str(error.value).split("nearest: ")[1].replace(",", "").split() if word.isdigit()
        ]
        valid = range(8, 100, 6)
        assert set(named) == {max((d for d in valid if d < depth), default=8), min(d for d in valid if d > depth)}


@pytest.mark.parametrize("size", [8, 16, 32, 33])
def test_vgg_takes_any_image(size, rng):
    assert models.vgg(11, width=2)(torch.randn(2, 3, size, size, generator=rng)).shape == (2, 10)


# --- what is refused ----------------------------------------------------------------------------------------------

CONV_NETS: list[Make] = [models.cifar_resnet, models.vgg, models.convnet]
ALL_NETS: list[Make] = [lambda **options: models.mlp(4, 3, 2, **options), *CONV_NETS]


@pytest.mark.parametrize("make", ALL_NETS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "bacth"}, "unknown norm 'bacth'; choose one of batch, none, recenter, rescale, layer, last"),
        ({"activation": "rleu"}, "unknown activation 'rleu'; choose one of relu, leaky_relu, abs, .*tanh, linear"),
        ({"init": "xavjer"}, "unknown init 'xavjer'; choose one of xavier, he, orthogonal"),
    ],
)
def test_an_unknown_word_is_answered_with_the_known_ones(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize(
    ("make", "argument"),
    [
        *((models.mlp, name) for name in ("in_features", "width", "depth", "out_features")),
        *((make, name) for make in CONV_NETS for name in ("depth", "width", "num_classes", "in_channels")),
    ],
)
def test_sizes_below_one(make, argument, value):
    options = {"in_features": 4, "width": 4, "depth": 2} if make is models.mlp else {}
    with pytest.raises(ValueError, match=f"{argument} must be at least 1, got {value}"):
        make(**{**options, argument: value})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: models.cifar_resnet(21), ValueError, "6n \\+ 2 .* got 21; nearest: 20 and 26"),
        (lambda: models.cifar_resnet(2), ValueError, "got 2; nearest: 8, the smallest"),
        (lambda: models.cifar_resnet(shortcut="C"), ValueError, "unknown shortcut 'C'; choose one of A, B"),
        (lambda: models.vgg(12), ValueError, "VGG has depth 11, 13, 16, 19, got 12"),
        (lambda: models.mlp(4, 3.0, 2), TypeError, "width must be an integer, got 3.0"),
        (lambda: models.mlp(4, 3, True), TypeError, "depth must be an integer, got True"),
        (lambda: models.mlp(4, 3, 2, seed=0.5), TypeError, "seed must be an integer, got 0.5"),
        (lambda: models.mlp(4, 3, 2, activation=nn.ReLU()), TypeError, "one module, ReLU.*every layer needs its own"),
        (lambda: models.mlp(4, 3, 2, activation=3), TypeError, "a name or a function that returns a module, got 3"),
        (lambda: models.mlp(4, 3, 2, activation=torch.relu), TypeError, "function without arguments.*relu.*failed"),
        (lambda: models.mlp(4, 3, 2, activation=dict), TypeError, "must return a torch.nn.Module, but returned {}"),
        (lambda: models.mlp(12, 3, 2)(torch.zeros(4, 3, 3)), ValueError, "takes 12 features.*has 9 per sample"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
