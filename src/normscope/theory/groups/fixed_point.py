"""What a fixed point of a layer is: its geometry, its spectrum, and what it does to the batches near it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from normscope.theory.groups.groups import Array, GroupGram
from normscope.theory.groups.spectrum import Spectrum

Attraction = Literal["exponential", "algebraic", "neutral", "none"]

_PRINTED = 5  # digits
_ORDERED = 10  # decimals of a rate
_ROUNDING = 1e-15  # cosines below this, times the ratio of the norms, are printed as 0
_ON_THE_CIRCLE = 1e-10  # eigenvalues whose modulus is this close to 1 count as 1: it is rounding that decides


@dataclass(frozen=True, repr=False)
class FixedPoint:
    """A Gram matrix that a layer leaves as it is, up to scale where the layer is scale-free.

    It is the Gram matrix behind the activation, of m groups of exchangeable points, and has trace n where the layer is
    scale-free, its own scale else.
    """

    groups: GroupGram
    """Squared norms and distances, a number per group and pair of groups: at every n, and right in tight clusters."""
    jacobian: Spectrum = field(compare=False)
    growth: float
    """Factor by which one layer multiplies the Gram matrix. 1 where it has a scale of its own."""
    residual: float
    """Largest difference between the Gram matrix and the next one over ``growth``, relative to the largest entry."""
    scale_free: bool
    """Whether the spectrum is modulo scale."""
    family: str = ""
    """Where the fixed point is one of a continuum: which. Empty where it is isolated."""
    attraction: Attraction = "none"
    """How batches nearby approach: exponentially (``rate``), algebraically (like a power of the depth: the spectral
    radius is 1), not at all but without leaving (neutral), or they leave (none)."""
    between: tuple[str, str] | None = None
    """Of a saddle: the kinds of fixed point to which its two sides lead."""

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Of the groups: (n,) symmetric, (1, n − 1) odd."""
        return tuple(round(float(k)) for k in self.groups.sizes)

    @property
    def kind(self) -> str:
        """symmetric, odd, cluster (all groups tight: cosines within of exactly 1), or groups."""
        return kind_of(self.groups)

    @property
    def blocks(self) -> Array:
        """(m, m): Gram matrix entries of two different points; on the diagonal, of two points of one group."""
        return self.groups.matrix.blocks

    @property
    def gram(self) -> Array:
        """(n, n), group by group.

        Raises:
            ValueError: there are too many points for a dense matrix; `blocks` is always there.
        """
        return self.groups.dense()

    @property
    def cosines(self) -> Array:
        """(m, m): of two different points; on the diagonal within a group, nan where it has one point.

        Exact to rounding times the ratio of the two norms; near 1, ``groups.one_minus_cosines`` keeps all digits.
        """
        alone = np.eye(len(self.sizes), dtype=bool) & (self.groups.sizes <= 1)
        return np.where(alone, np.nan, 1 - self.groups.one_minus_cosines)

    def _printed_cosine(self, g: int, h: int) -> str:
        cosine = self.cosines[g, h]
        if np.isnan(cosine):
            return "–"
        rounding = _ROUNDING * max(self.norm_ratios[g] / self.norm_ratios[h], self.norm_ratios[h] / self.norm_ratios[g])
        return "0" if abs(cosine) < rounding else f"{cosine:.{_PRINTED}g}"

    @property
    def norm_ratios(self) -> Array:
        """(m,): norms over that of the last group."""
        return np.asarray(np.sqrt(self.groups.variances / self.groups.variances[-1]))

    @property
    def spectrum(self) -> Array:
        """Different eigenvalues of the Jacobian (modulo scale where the layer is scale-free), by falling modulus."""
        return np.asarray(self.jacobian.values)

    @property
    def multiplicities(self) -> Array:
        """How often each occurs; n(n + 1)/2 in all, one less modulo scale."""
        return np.asarray(self.jacobian.multiplicities)

    @property
    def rate(self) -> float:
        """Spectral radius: what is left of a small deviation after one more layer; above 1, how fast it grows."""
        return float(np.abs(self.spectrum).max(initial=0.0))

    @property
    def stable(self) -> bool:
        """Whether every small deviation shrinks exponentially."""
        return self.rate < 1 - _ON_THE_CIRCLE

    @property
    def unstable_directions(self) -> int:
        """How many eigenvalues lie outside the unit circle."""
        return int(self.multiplicities[np.abs(self.spectrum) > 1 + _ON_THE_CIRCLE].sum())

    @property
    def neutral_directions(self) -> int:
        """How many lie on it, to rounding."""
        return (
            int(self.multiplicities.sum())
            - self.unstable_directions
            - int(self.multiplicities[np.abs(self.spectrum) < 1 - _ON_THE_CIRCLE].sum())
        )

    @property
    def saddle(self) -> bool:
        """Whether exactly one direction leaves, to both sides: a threshold between them.

        A tight group of two can leave only by coming apart: that has one side.
        """
        apart = [g for g, k in enumerate(self.sizes) if k == 2 and self.groups.contrasts[g] == 0]
        return self.unstable_directions == 1 and self.neutral_directions == 0 and not apart

    @property
    def layers_to_shrink(self) -> float:
        """Layers in which a small deviation shrinks by e, −1/ln rate; inf where it does not shrink exponentially."""
        if not self.stable:
            return np.inf
        return -1 / np.log(self.rate) if self.rate > 0 else 0.0

    @property
    def layers_to_grow(self) -> float:
        """Layers in which the fastest deviation grows by e, 1/ln rate; inf where none grows, 0 at an infinite slope."""
        return 1 / np.log(self.rate) if self.unstable_directions else np.inf

    def to_dict(self) -> dict[str, Any]:
        """Everything but the dense matrix, as what JSON holds: infinities and nan are None, complex numbers pairs."""
        return {
            "kind": self.kind,
            "sizes": list(self.sizes),
            "stable": self.stable,
            "attraction": self.attraction,
            "saddle": self.saddle,
            "between": None if self.between is None else list(self.between),
            "family": self.family,
            "rate": _plain(self.rate),
            "layers_to_shrink": _plain(self.layers_to_shrink),
            "layers_to_grow": _plain(self.layers_to_grow),
            "growth": self.growth,
            "residual": self.residual,
            "cosines": [[_plain(c) for c in row] for row in self.cosines],
            "one_minus_cosines": self.groups.one_minus_cosines.tolist(),
            "norm_ratios": self.norm_ratios.tolist(),
            "squared_norms": self.groups.variances.tolist(),
            "spectrum": [_plain(value) for value in self.spectrum],
            "multiplicities": self.multiplicities.tolist(),
        }

    def __repr__(self) -> str:
        m = len(self.sizes)
        within = ", ".join(self._printed_cosine(g, g) for g in range(m))
        parts = [f"FixedPoint {self.kind} {self.sizes}", self._behaviour(), f"cosine within {within}"]
        if len(self.sizes) > 1:
            across = [self._printed_cosine(g, h) for g in range(m) for h in range(g + 1, m)]
            parts.append("across " + ", ".join(across))
            parts.append("norms " + " : ".join(f"{r:.{_PRINTED}g}" for r in self.norm_ratios))
        if self.family:
            parts.append(f"one of {self.family}")
        return "<" + "; ".join(parts) + ">"

    def _behaviour(self) -> str:
        if self.stable:
            return f"stable, rate {self.rate:.{_PRINTED}g}"
        if self.between is not None:
            return f"saddle between {' and '.join(self.between)}, rate {self.rate:.{_PRINTED}g}"
        if self.unstable_directions:
            return f"unstable, rate {self.rate:.{_PRINTED}g} in {self.unstable_directions} directions"
        return f"attraction {self.attraction}, {self.neutral_directions} neutral directions"


def listing_order(point: FixedPoint) -> tuple[bool, int, tuple[int, ...], float]:
    """Those that attract first, then by group sizes and rate; rounding orders none that have one rate."""
    return not point.stable, len(point.sizes), point.sizes, round(point.rate, _ORDERED)


def kind_of(groups: GroupGram) -> str:
    """What to call a Gram matrix of these groups, see `FixedPoint.kind`."""
    sizes = groups.sizes
    if np.all((sizes == 1) | (groups.contrasts == 0)) and sizes.max() > 1:
        return "cluster"
    if sizes.size == 1:
        return "symmetric"
    return "odd" if sizes.size == 2 and sizes[0] == 1 else "groups"


def _plain(value: complex | float) -> float | list[float] | None:
    if np.iscomplexobj(value):
        return [float(np.real(value)), float(np.imag(value))]
    return float(np.real(value)) if np.isfinite(value) else None
