"""Close points of another class: steps to the linearized boundary, bisection, and projections from the boundary.

Every point that is returned was evaluated and has another class: its distance is an upper bound of the margin, however
good the search was.
"""

from __future__ import annotations

import torch
from torch import Tensor

from normscope.spline.distances.jacobians import pulled_back
from normscope.spline.reading.program import Program

_RIVALS = 10  # classes that a step considers, the highest ones
_OVERSHOOT = 0.02
_HALVINGS = 60
_ACROSS = 1e-9  # of the distance
_TRIES = 20  # random points of a start
_SHARES = (1.0, 0.5, 0.2, 0.05)
_SHORTER = 1 - 1e-5  # a move along the boundary must gain so much, or the search goes on for ever


class Classifier:
    """The logits of a program, (m, classes); of a single logit z: (0, z)."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def logits(self, points: Tensor) -> Tensor:
        """(m, classes), differentiable."""
        found = self.program.outputs(points).flatten(1)
        return torch.cat([torch.zeros_like(found), found], 1) if found.shape[1] == 1 else found

    def classes(self, points: Tensor) -> Tensor:
        """The first of the largest logits, (m,)."""
        with torch.no_grad():
            return self.logits(points).argmax(1)

    def gaps(self, points: Tensor, own: Tensor, rivals: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """z_k − z_own for all other classes k, or the highest ones, (m, k), its gradients, (m, k, d), and k, (m, k)."""
        points = points.detach().clone().requires_grad_()
        with torch.enable_grad():
            logits = self.logits(points)
            others = logits.detach().scatter(1, own[:, None], -torch.inf)
            count = min(rivals or logits.shape[1], logits.shape[1] - 1)
            chosen = others.topk(count, 1).indices
            gap = logits.gather(1, chosen) - logits.gather(1, own[:, None])
        gradients = [part.movedim(0, 1) for part in pulled_back(gap, points)]
        return gap.detach(), torch.cat(gradients, 1), chosen


def closest_found(model: Classifier, points: Tensor, steps: int, starts: int, seed: int) -> Tensor:
    """For each point one of another class, as close as the search finds; NaN where it finds none.

    Args:
        model: the classifier.
        points: (m, *input_shape).
        steps: of each search, towards the boundary and along it.
        starts: searches from each point: one from itself, the others from random points around it.
        seed: of the random points.

    Source: DeepFool (Moosavi-Dezfooli et al., CVPR 2016, arXiv 1511.04599) to the boundary; projections of the point
        onto the boundary linearized where it was met, as in FAB (Croce, Hein, ICML 2020, arXiv 1907.02044).
    """
    generator = torch.Generator().manual_seed(seed)
    own = model.classes(points)
    best = _across(model, points, own, points, steps)
    best = torch.where(_wide(best.isnan().flatten(1).any(1), best), _neighbours(points, own), best)
    best = _refined(model, points, own, best, steps)
    for _ in range(starts - 1):
        fresh = _across(model, points, own, _around(model, points, own, best, generator), steps)
        fresh = _refined(model, points, own, fresh, steps)
        best = _shorter(points, best, fresh)
    # a little across, so that rounding in another evaluation does not decide the class
    beyond = points + (best - points) * (1 + _ACROSS)
    return torch.where(_wide(model.classes(beyond.nan_to_num(0.0)) != own, best), beyond, best)


def _around(model: Classifier, points: Tensor, own: Tensor, best: Tensor, generator: torch.Generator) -> Tensor:
    """Random points no farther than the best so far; of another class where one of some tries is."""
    reach = _length(best - points).nan_to_num(1.0)
    chosen = points
    for _ in range(_TRIES):
        noise = torch.randn(points.shape, generator=generator, dtype=points.dtype)
        share = 0.5 + 0.5 * torch.rand(len(points), generator=generator, dtype=points.dtype)
        tried = points + noise * _wide(reach * share / _length(noise), noise)
        # the last one stays where none was of another class
        still = model.classes(chosen) == own
        chosen = torch.where(_wide(still, tried), tried, chosen)
    return chosen


def _across(model: Classifier, points: Tensor, own: Tensor, start: Tensor, steps: int) -> Tensor:
    """DeepFool from ``start`` until the class is not ``own``, drawn back to the boundary; NaN if it never is."""
    at = start.clone()
    for _ in range(steps):
        inside = (model.classes(at) == own).nonzero().flatten()
        if not len(inside):
            break
        at[inside] = _step(model, at[inside], own[inside])
    found = _drawn_back(model, points, own, at)
    return torch.where(_wide(model.classes(found) != own, found), found, torch.nan)


def _step(model: Classifier, at: Tensor, own: Tensor) -> Tensor:
    """Beyond the closest of the boundaries as they are linearized here."""
    gap, gradient, _ = model.gaps(at, own, _RIVALS)
    norm = torch.linalg.vector_norm(gradient, dim=-1)
    distance = torch.where(norm > 0, -gap / norm, torch.inf)
    nearest = distance.argmin(1, keepdim=True)
    norm, gap = norm.gather(1, nearest), gap.gather(1, nearest)
    direction = gradient.gather(1, nearest[..., None].expand(-1, -1, gradient.shape[2]))[:, 0]
    # a tie counts as not yet across: a little further than nothing
    length = torch.where(norm > 0, (1 + _OVERSHOOT) * (-gap).clamp(min=1e-12) / norm.square(), 0.0)
    return at + (length * direction).reshape(at.shape)


def _drawn_back(model: Classifier, points: Tensor, own: Tensor, far: Tensor) -> Tensor:
    """The last point of another class that bisection meets on the way from ``far`` to the point."""
    low, high = torch.zeros(len(points), dtype=points.dtype), torch.ones(len(points), dtype=points.dtype)
    far = far.nan_to_num(0.0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        across = model.classes(points + _wide(middle, far) * (far - points)) != own
        low, high = torch.where(across, low, middle), torch.where(across, middle, high)
    return points + _wide(high, far) * (far - points)


def _refined(model: Classifier, points: Tensor, own: Tensor, found: Tensor, steps: int) -> Tensor:
    """Move along the boundary towards the point's projection onto it, while that brings it closer."""
    found = found.clone()
    active = (~found.isnan().flatten(1).any(1)).nonzero().flatten()
    for _ in range(steps):
        if not len(active):
            break
        x, c, b = points[active], own[active], found[active]
        moved = b
        target = _projection(model, x, c, b)
        for share in _SHARES:
            aim = b + share * (target - b) - x
            length = torch.minimum(_length(aim), _length(b - x) * _SHORTER)
            candidate = x + aim * _wide(length / _length(aim).clamp(min=1e-300), aim)
            across = model.classes(candidate) != c
            moved = torch.where(_wide(across, moved), _shorter(x, moved, candidate), moved)
        closer = _length(moved - x) < _length(b - x)
        active, moved = active[closer], moved[closer]
        found[active] = _drawn_back(model, points[active], own[active], moved)
    return found


def _projection(model: Classifier, points: Tensor, own: Tensor, boundary: Tensor) -> Tensor:
    """Of the points onto the boundary to the highest other class, linearized at ``boundary``."""
    gap, gradient, _ = (part[:, 0] for part in model.gaps(boundary, own, 1))
    here = gap + ((points - boundary).flatten(1) * gradient).sum(1)
    square = gradient.square().sum(1)
    length = torch.where(square > 0, (-here).clamp(min=0.0) / square, 0.0)
    return points + (length[:, None] * gradient).reshape(points.shape)


def _neighbours(points: Tensor, own: Tensor) -> Tensor:
    """For each point the nearest of the others that has another class; NaN without one."""
    flat = points.flatten(1)
    distance = torch.cdist(flat, flat).masked_fill(own[:, None] == own, torch.inf)
    nearest = distance.argmin(1) if len(points) else own
    there = torch.isfinite(distance.gather(1, nearest[:, None])[:, 0])
    return torch.where(_wide(there, points), points[nearest], torch.nan)


def _shorter(points: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Of two found points the closer one; NaN is none."""
    lengths = [_length(found - points).nan_to_num(torch.inf) for found in (one, other)]
    return torch.where(_wide(lengths[1] < lengths[0], one), other, one)


def _length(vectors: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(vectors.flatten(1), dim=1)
    return lengths


def _wide(values: Tensor, like: Tensor) -> Tensor:
    """(m,) so that it goes along with (m, *input_shape)."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
