"""The slice: a plane in input space and a window in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope.spline.cutting.complex import Floats
from normscope.spline.given import real_numbers

_PARALLEL = 1e-12  # sine of the angle between two directions that are told apart

_LARGE = 1e100  # of coordinates and windows: beyond, areas overflow, and below its inverse they vanish
_NARROW = 2.0**-40  # of the coordinates: points closer than 2⁻⁴⁶ are one, so in a narrower window nothing could be told

Extent = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Plane:
    """x(s, t) = origin + s·u + t·v, all three of the shape of one input, float64."""

    origin: Tensor
    u: Tensor
    v: Tensor

    def points(self, coordinates: Floats | Tensor) -> Tensor:
        """Coordinates (m, 2) to inputs (m, *input shape)."""
        at = torch.as_tensor(coordinates, dtype=torch.float64)
        flat = at @ torch.stack([self.u.reshape(-1), self.v.reshape(-1)]) + self.origin.reshape(-1)
        return flat.reshape(len(at), *self.origin.shape)

    def coordinates(self, points: Any) -> Floats:
        """Inputs (m, *input shape) to the coordinates of their nearest points in the plane, (m, 2)."""
        axes = torch.stack([self.u.reshape(-1), self.v.reshape(-1)], dim=1)
        away = torch.as_tensor(points, dtype=torch.float64).reshape(-1, len(axes)) - self.origin.reshape(-1)
        found: Floats = torch.linalg.lstsq(axes, away.T).solution.T.numpy()
        return found


def plane_through(a: Any, b: Any, c: Any) -> tuple[tuple[Tensor, Tensor, Tensor], NDArray[np.float64]]:
    """The plane through three samples, for `partition`, and where in it they are.

    The origin is a; u points from a to b; v is orthogonal to u, towards c. Both have length 1, so that distances
    in the plane are those of input space.

    Args:
        a: a sample.
        b: another one of the same shape.
        c: a third one.

    Returns:
        (origin, u, v), float64, of the samples' shape; and the coordinates of a, b and c, (3, 2).

    Raises:
        ValueError: the samples differ in shape, are not finite, or lie on a line.
        TypeError: they are no arrays of real numbers.
    """
    samples = [real_numbers(f"values of sample {name}", sample) for name, sample in zip("abc", (a, b, c), strict=True)]
    shapes = {tuple(sample.shape) for sample in samples}
    if len(shapes) > 1:
        raise ValueError(f"the three samples must have one shape, got {', '.join(map(str, sorted(shapes)))}")
    origin = samples[0]
    to_b, to_c = samples[1] - origin, samples[2] - origin
    for name, other in (("b", to_b), ("c", to_c)):
        if not other.norm():
            raise ValueError(f"samples a and {name} are the same point, so they give no plane: take three others")
    u = to_b / to_b.norm()
    v = to_c - (to_c * u).sum() * u
    v = v - (v * u).sum() * u  # once more: the first difference may have lost digits
    if v.norm() <= _PARALLEL * to_c.norm():
        raise ValueError("the three samples lie on a line, so they give no plane: take three others")
    v = v / v.norm()
    where = [(0.0, 0.0), (float(to_b.norm()), 0.0), (float((to_c * u).sum()), float((to_c * v).sum()))]
    return (origin, u, v), np.array(where)


def read_plane(plane: Sequence[Any] | Plane | None, shape: tuple[int, ...] | None) -> Plane:
    """The plane as given to `partition`, checked against the shape of the model's input where that is known.

    Raises:
        ValueError: not three parts, of different or wrong shape, not finite, or u and v do not span a plane.
        TypeError: a part is no array of real numbers.
    """
    if isinstance(plane, Plane):
        plane = (plane.origin, plane.u, plane.v)
    if plane is None:
        if shape not in (None, (2,)):
            raise ValueError(
                f"plane=None is for models of two inputs, but this one takes {shape}: "
                "give plane=(origin, u, v), or make one with plane_through"
            )
        plane = (torch.zeros(2), torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    if not isinstance(plane, Sequence) or isinstance(plane, str | bytes) or len(plane) != 3:
        raise ValueError(
            f"plane must be (origin, u, v), three arrays of the shape of one input, or None, got {_told(plane)}"
        )
    named = zip(("origin", "u", "v"), plane, strict=True)
    parts = [real_numbers(f"values of the plane's {name}", part) for name, part in named]
    for name, part in zip(("origin", "u", "v"), parts, strict=True):
        wanted = shape if shape is not None else tuple(parts[0].shape)
        if tuple(part.shape) != wanted:
            raise ValueError(f"{name} of the plane has shape {tuple(part.shape)}, but one input has {wanted}")
    if parts[0].numel() < 2:
        raise ValueError(f"an input of shape {tuple(parts[0].shape)} has no plane: it takes at least two numbers")
    _require_span(parts[1], parts[2])
    return Plane(*parts)


def read_extent(extent: Sequence[float]) -> Extent:
    """The window (xmin, xmax, ymin, ymax), checked.

    Raises:
        ValueError: not four finite numbers, or a window that is empty, reversed, too large, or narrower than float64
            tells apart where it is.
    """
    ordered = not isinstance(extent, str | bytes | Set | Mapping)
    try:
        numbers = [_number(number) for number in extent] if ordered else []
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last of a tensor without a value
        numbers = []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise ValueError(f"extent must be four finite numbers (xmin, xmax, ymin, ymax), got {extent!r}")
    xmin, xmax, ymin, ymax = numbers
    for axis, low, high in (("x", xmin, xmax), ("y", ymin, ymax)):
        if low >= high:
            kind = "empty" if low == high else "reversed"
            raise ValueError(f"the window is {kind}: {axis}min = {low:g} must be below {axis}max = {high:g}")
    farthest, longest = max(map(abs, numbers)), max(xmax - xmin, ymax - ymin)
    if not (farthest <= _LARGE and longest >= 1 / _LARGE):
        raise ValueError(
            f"extent: coordinates are at most {_LARGE:g}, and a window at least {1 / _LARGE:g}, got {extent!r}"
        )
    for axis, low, high in (("x", xmin, xmax), ("y", ymin, ymax)):
        if high - low < _NARROW * (farthest + longest):
            raise ValueError(
                f"the window is {high - low:.1e} wide in {axis}, where coordinates are up to {farthest:g}: too narrow "
                "for float64; take a larger one, or a plane whose origin is in it"
            )
    return xmin, xmax, ymin, ymax


def _number(given: Any) -> float:
    if isinstance(given, str | bytes):
        raise TypeError("text is no number")
    return float(given.detach() if isinstance(given, Tensor) else given)


def _told(plane: Any) -> str:
    """What was given in place of a plane."""
    if isinstance(plane, tuple) and len(plane) == 2 and isinstance(plane[0], tuple | Plane):
        return "two: plane_through returns the plane and where the samples are in it; give the first of the two"
    if isinstance(plane, Sequence) and not isinstance(plane, str | bytes):
        return f"{len(plane)} of them"
    shape = getattr(plane, "shape", None)
    return type(plane).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")


def _require_span(u: Tensor, v: Tensor) -> None:
    for name, direction in (("u", u), ("v", v)):
        if not direction.any():
            raise ValueError(f"{name} of the plane is zero: it takes two directions that are not parallel")
    u, v = u / u.abs().max(), v / v.abs().max()  # squares of small numbers would vanish
    cosine = (u / u.norm() * (v / v.norm())).sum()
    if (v / v.norm() - cosine * u / u.norm()).norm() <= _PARALLEL:
        raise ValueError("u and v of the plane are parallel: it takes two directions that are not")
