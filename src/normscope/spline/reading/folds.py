"""The non-linearities of piecewise affine models: what they fold at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope.spline.reading.recording import Ref
from normscope.spline.reading.sizes import Shape, at
from normscope.spline.reading.steps import Step
from normscope.spline.reading.windows import adaptive_windows, broadened, pooling_windows, reduction_windows


@dataclass(frozen=True)
class Fold:
    """One application of a non-linearity. Its argument z is affine where nothing before it folds.

    Attributes:
        layer: what it is called, no two alike: by the module without submodules that applies it (``act``, and
            ``act:1`` when it is called again); of any other call by the module around it and the function, as
            `normscope.trace` names what it captures with "ops": ``block.relu``, the next one there ``block.relu:1``.
        kind: "relu", "leaky_relu", "prelu", "abs", "hardtanh", "relu6", "clamp", "threshold", "softshrink",
            "hardsigmoid"; "maximum", "minimum" (of two: z is their difference); "max_pool" (of a window).
        shape: of the argument of one sample.
        kinks: the values of z at which every unit folds; none for "max_pool".
        windows: "max_pool" alone: shape (outputs, candidates), flat indices into z, −1 for padding. It folds where the
            index of the largest candidate changes.
        traced: ``layer`` and ``call`` of what it puts out in the table of such a trace; None for a single number, which
            has no row there.
    """

    layer: str
    kind: str
    shape: tuple[int, ...]
    kinks: tuple[float, ...]
    windows: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)
    traced: tuple[str, int] | None = None

    @property
    def units(self) -> int:
        """The number of entries of z."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Bend:
    """How an operator folds: ``kind``, ``kinks`` and ``windows`` of the `Fold`, and how z comes from its arguments."""

    kind: str
    kinks: tuple[float, ...] = ()
    windows: NDArray[np.int64] | None = None
    argument: str = "first"  # z is the first argument, its "negative", or the "difference" of the first two

    @property
    def folds(self) -> bool:
        """Whether there is any value at which it folds: a leaky ReLU of slope 1 is affine."""
        return bool(self.kinks) or self.windows is not None


class JumpsError(ValueError):
    """The operator is not continuous; the message says what it does."""


Depends = Callable[[Any], bool]
Rule = Callable[[Step, Sequence[Shape], Depends], Bend | None]


def bend_of(step: Step, shapes: Sequence[Shape], depends: Depends) -> Bend | None:
    """How a step folds; None for one that does not.

    Args:
        step: an operation on values that depend on the input.
        shapes: of all values.
        depends: whether an argument depends on the input.

    Raises:
        JumpsError: it is piecewise affine, but jumps.
    """
    rule = _RULES.get(step.name)
    return None if rule is None else rule(step, shapes, depends)


def _value(step: Step, position: int, name: str, default: Any) -> Any:
    value = step.args[position] if position < len(step.args) else step.kwargs.get(name, default)
    return default if value is None else value


def _at(kind: str, *kinks: float) -> Rule:
    return lambda step, shapes, depends: Bend(kind, kinks)


def _leaky_relu(step: Step, shapes: Sequence[Shape], depends: Depends) -> Bend | None:
    return Bend("leaky_relu", () if float(_value(step, 1, "negative_slope", 0.01)) == 1 else (0.0,))


def _prelu(step: Step, shapes: Sequence[Shape], depends: Depends) -> Bend | None:
    slope = step.args[1]
    if not isinstance(slope, Tensor):
        raise JumpsError("applies prelu with slopes that depend on the input")
    return Bend("prelu", () if bool((slope == 1).all()) else (0.0,))


def _clamp(kind: str, low: float | None, high: float | None) -> Rule:
    def rule(step: Step, shapes: Sequence[Shape], depends: Depends) -> Bend | None:
        if step.name == "clamp_max":
            bounds: tuple[Any, Any] = (-math.inf, _value(step, 1, "max", math.inf))
        else:
            none_low, none_high = (-math.inf if low is None else low), (math.inf if high is None else high)
            lower = _value(step, 1, "min_val" if step.name == "hardtanh" else "min", none_low)
            upper = _value(step, 2, "max_val" if step.name == "hardtanh" else "max", none_high)
            bounds = (lower, upper if step.name != "clamp_min" else math.inf)
        if any(isinstance(bound, Tensor | Ref) for bound in bounds):
            return _tensor_bounds(step, bounds)
        lower, upper = map(float, bounds)
        kinks = tuple(bound for bound in (lower, upper) if math.isfinite(bound)) if lower < upper else ()
        named = "relu6" if (lower, upper) == (0, 6) and kind == "hardtanh" else kind
        return Bend(named, kinks)

    return rule


def _tensor_bounds(step: Step, bounds: tuple[Any, Any]) -> Bend:
    if not any(isinstance(bound, float) and math.isinf(bound) for bound in bounds):
        raise JumpsError("applies clamp with two bounds that are tensors: use torch.maximum and torch.minimum")
    other = 1 if isinstance(bounds[0], Tensor | Ref) else 2
    kind = "maximum" if other == 1 else "minimum"
    return Bend(kind, (0.0,), argument="difference")


def _threshold(step: Step, shapes: Sequence[Shape], depends: Depends) -> Bend | None:
    threshold, value = float(step.args[1]), float(step.args[2])
    if threshold != value:
        raise JumpsError(f"jumps at {threshold:g} to {value:g} (threshold)")
    return Bend("threshold", (threshold,))


def _softshrink(step: Step, shapes: Sequence[Shape], depends: Depends) -> Bend | None:
    width = float(_value(step, 1, "lambd", 0.5))
    return Bend("softshrink", (-width, width) if width else ())


def _of_two(kind: str) -> Rule:
    return lambda step, shapes, depends: Bend(kind, (0.0,), argument="difference")


def _extremum(kind: str) -> Rule:
    """``max`` and ``min`` are two operators in one: of two tensors, or over dimensions; so are amax and amin."""

    def rule(step: Step, shapes: Sequence[Shape], depends: Depends) -> Bend | None:
        if len(step.args) > 1 and isinstance(step.args[1], Tensor | Ref):
            return Bend(kind, (0.0,), argument="difference")
        shape = at(shapes[step.args[0].index], 1)
        given = _value(step, 1, "dim", ())
        dims = [dim % len(shape) for dim in ([given] if isinstance(given, int) else given)] or range(len(shape))
        windows = reduction_windows(shape, list(dims))
        return Bend("max_pool", (), windows, "negative" if kind == "minimum" else "first")

    return rule


def _max_pool(step: Step, shapes: Sequence[Shape], depends: Depends) -> Bend | None:
    dims = int(step.name[len("max_pool")])
    kernel = broadened(step.args[1], dims)
    stride = broadened(_value(step, 2, "stride", ()) or kernel, dims)
    padding = broadened(_padding(_value(step, 3, "padding", (0,))), dims)
    dilation = broadened(_padding(_value(step, 4, "dilation", (1,))), dims)
    shape, output = at(shapes[step.args[0].index], 1), at(shapes[step.outputs[0]], 1)[-dims:]
    return Bend("max_pool", (), pooling_windows(shape, output, kernel, stride, padding, dilation))


def _padding(value: Any) -> Sequence[int]:
    return [value] if isinstance(value, int) else value


def _adaptive_max_pool(step: Step, shapes: Sequence[Shape], depends: Depends) -> Bend | None:
    dims = int(step.name[len("adaptive_max_pool")])
    shape, output = at(shapes[step.args[0].index], 1), at(shapes[step.outputs[0]], 1)[-dims:]
    return Bend("max_pool", (), adaptive_windows(shape, output))


_RULES: Final[Mapping[str, Rule]] = {
    "relu": _at("relu", 0.0),
    "leaky_relu": _leaky_relu,
    "_prelu_kernel": _prelu,
    "prelu": _prelu,
    "abs": _at("abs", 0.0),
    "hardsigmoid": _at("hardsigmoid", -3.0, 3.0),
    "hardtanh": _clamp("hardtanh", -1.0, 1.0),
    "relu6": _at("relu6", 0.0, 6.0),
    "clamp": _clamp("clamp", None, None),
    "clamp_min": _clamp("clamp", None, None),
    "clamp_max": _clamp("clamp", None, None),
    "threshold": _threshold,
    "softshrink": _softshrink,
    "maximum": _of_two("maximum"),
    "minimum": _of_two("minimum"),
    "fmax": _of_two("maximum"),
    "fmin": _of_two("minimum"),
    "max": _extremum("maximum"),
    "min": _extremum("minimum"),
    "amax": _extremum("maximum"),
    "amin": _extremum("minimum"),
    "max_pool1d_with_indices": _max_pool,
    "max_pool2d_with_indices": _max_pool,
    "max_pool3d_with_indices": _max_pool,
    "adaptive_max_pool1d": _adaptive_max_pool,
    "adaptive_max_pool2d": _adaptive_max_pool,
    "adaptive_max_pool3d": _adaptive_max_pool,
}


def evaluated_rrelu(step: Step) -> Step:
    """A randomized leaky ReLU in evaluation: the leaky ReLU of the mean slope."""
    if _value(step, 4, "training", False):
        return step  # of random slopes: no rule knows it
    slope = (float(_value(step, 2, "lower", 1 / 8)) + float(_value(step, 3, "upper", 1 / 3))) / 2
    operator = torch.ops.aten.leaky_relu.default
    return Step("leaky_relu", operator, (step.args[0], slope), {}, step.outputs[:1], step.layer, step.place)


def argument_step(step: Step, bend: Bend, number: int) -> Step | None:
    """The step that computes z as value ``number`` for a step that bends; None where z is its first argument."""
    if bend.argument == "first":
        return None
    first = step.args[0]
    if bend.argument == "negative":
        return Step("neg", torch.neg, (first,), {}, (number,), step.layer)
    operands = [*step.args, *step.kwargs.values()]
    second = next(value for value in operands[1:] if isinstance(value, Tensor | Ref))
    return Step("sub", torch.sub, (first, second), {}, (number,), step.layer)
