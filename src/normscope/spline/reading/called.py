"""Which folds a name stands for, wherever users give one: a fold's own name comes first."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from normscope.spline.reading.folds import Fold


def fold_called(folds: Sequence[Fold], name: str) -> int | None:
    """The place of the fold of exactly this name, of which there are no two; None without one."""
    return next((place for place, fold in enumerate(folds) if fold.layer == name), None)


def folds_matching(folds: Sequence[Fold], pattern: str) -> list[int]:
    """The places of all folds that a name or glob pattern stands for, in order.

    The name of a fold stands for that fold alone, with one exception: where it is also the name of its own layer in a
    trace (``act``, of the first call of ``act``), it stands for all calls of that layer. A layer whose name is that of
    another layer's fold (a module ``act:1`` beside the second call of ``act``) is found by the names of its own folds.
    Anything else is a pattern for the names of folds and of layers.
    """
    own = fold_called(folds, pattern)
    if own is not None and _layer(folds[own]) != pattern:
        return [own]
    calls = [place for place, fold in enumerate(folds) if _layer(fold) == pattern]
    if calls:
        return calls
    return [place for place, fold in enumerate(folds) if fnmatchcase(fold.layer, pattern) or _fits(fold, pattern)]


def _layer(fold: Fold) -> str | None:
    """As a trace calls it; None of what has no row there."""
    return fold.traced[0] if fold.traced else None


def _fits(fold: Fold, pattern: str) -> bool:
    layer = _layer(fold)
    return layer is not None and fnmatchcase(layer, pattern)
