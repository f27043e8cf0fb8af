"""Bounds of the margin: how far a point is from the decision boundary, in the full input space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from normscope.spline.cutting.whole import whole_number
from normscope.spline.distances.attack import Classifier, closest_found
from normscope.spline.distances.distance import boundary_distance
from normscope.spline.distances.jacobians import Mode
from normscope.spline.distances.points import as_program
from normscope.spline.reading.program import Program

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MarginBounds:
    """Between which two numbers the margin of each of n points is: lower ≤ margin ≤ upper.

    Attributes:
        classes: (n,), predicted; of a single logit z: 0 (z ≤ 0) or 1.
        lower: (n,), a lower bound: no point that is closer has another class.
        upper: (n,), an upper bound: the distance of ``found``. Infinite where nothing was found.
        exact: (n,), whether ``lower`` is the margin itself: the boundary cuts the point's own region first.
        found: (n, *input_shape), a point of another class; NaN where nothing was found. At a tie, where points of
            another class are as close as one likes, the point itself.
        others: (n,), its class (at a tie the one that it ties with); −1 where nothing was found.
        region: (n,), the distance of the point to the nearest fold.
        inside: (n,), the margin of the affine map of the point's region, continued: what linearization would say.
    """

    classes: NDArray[np.int64]
    lower: Array
    upper: Array
    exact: NDArray[np.bool_]
    found: Array
    others: NDArray[np.int64]
    region: Array
    inside: Array

    def table(self) -> pd.DataFrame:
        """One row a point: point, class, other, lower, upper, exact, region, inside."""
        return pd.DataFrame(
            {
                "point": np.arange(len(self.lower)),
                "class": self.classes,
                "other": self.others,
                "lower": self.lower,
                "upper": self.upper,
                "exact": self.exact,
                "region": self.region,
                "inside": self.inside,
            }
        )


def margin_bounds(
    model: nn.Module | Program,
    inputs: Any,
    *,
    batch: Tensor | None = None,
    steps: int = 50,
    starts: int = 5,
    seed: int = 0,
    mode: Mode = "auto",
) -> MarginBounds:
    r"""``min(d_region, d_inside) ≤ margin ≤ ‖x' − x‖, with class(x') ≠ class(x)``.

    Within d_region, the distance of x to the nearest fold (`boundary_distance`, exact), logits are affine; so nothing
    closer than d_inside = min_k (z_c − z_k)/‖∇(z_c − z_k)‖ within it has another class. Where d_inside ≤ d_region
    it is the margin itself. The upper bound is an adversarial point: DeepFool, bisection, and projections from the
    boundary, from several starts, each evaluated in float64.

    Args:
        model: any model that `normscope.spline.partition` takes with a vector of logits (or a single one) as output,
            or a program that was read from it.
        inputs: the points, (n, *input_shape).
        batch: batch normalization uses the statistics of this batch instead of the running ones.
        steps: of each search, at most.
        starts: searches from each point.
        seed: of random starts.
        mode: how derivatives are taken for the lower bound, see `boundary_distance`.

    Returns:
        The bounds, in units of the input's Euclidean norm.

    Raises:
        ValueError: inputs of a wrong shape or not finite, an output that is no vector of logits, ``steps`` or
            ``starts`` below 1, or a model that cannot be read.
        TypeError: inputs that are no numbers.
    """
    steps, starts, seed = whole_number("steps", steps, 1), whole_number("starts", starts, 1), whole_number("seed", seed)
    program, points = as_program(model, inputs, batch)
    if len(program.output_shape) > 1:
        raise ValueError(f"the model puts out {program.output_shape} an input: a margin needs a vector of logits")
    classifier = Classifier(program)
    own = classifier.classes(points)
    inside, closest = _inside(classifier, points, own)
    region = np.full(len(points), np.inf)  # a model that does not fold is affine everywhere
    if program.folds:
        region = boundary_distance(program, points, mode=mode).nearest[:, -1]
    found = closest_found(classifier, points, steps, starts, seed)
    missing = found.flatten(1).isnan().any(1)
    upper = torch.linalg.vector_norm((found - points).flatten(1), dim=1).masked_fill(missing, torch.inf).numpy()
    others = classifier.classes(found.nan_to_num(0.0)).masked_fill(missing, -1)
    tie = (inside == 0) & (region > 0)
    found[tie], others[tie], upper[tie] = points[tie], closest[tie], 0.0
    return MarginBounds(
        classes=own.numpy(),
        lower=np.minimum(region, inside),
        upper=upper,
        # on a fold the gradient is that of a side which may be no more than a limit
        exact=(inside <= region) & (region > 0),
        found=found.numpy(),
        others=others.numpy(),
        region=region,
        inside=inside,
    )


def _inside(classifier: Classifier, points: Tensor, own: Tensor) -> tuple[Array, Tensor]:
    """The margin of the affine map at each point, and to which class.

    Infinite where no other class comes closer in any direction.
    """
    margins, closest = [], []
    for part, classes in zip(points.split(64), own.split(64), strict=True):
        gap, gradient, others = classifier.gaps(part, classes)
        norm = torch.linalg.vector_norm(gradient, dim=-1)
        # of fewer points the logits are rounded in another way: a tie may have become less than none
        distance, which = torch.where(norm > 0, (-gap).clamp(min=0.0).abs() / norm, torch.inf).min(1)
        margins.append(distance)
        closest.append(others.gather(1, which[:, None])[:, 0])
    return torch.cat(margins).numpy(), torch.cat(closest)
