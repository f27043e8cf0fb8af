"""A model by the name of what makes it."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Mapping

from torch import nn

from normscope.loading.calling import call
from normscope.loading.errors import LoadingError, describe, some
from normscope.loading.names import resolve
from normscope.loading.randomness import seeded_randomness
from normscope.loading.weights import load_weights


def load_model(
    spec: str,
    keywords: Mapping[str, object] | None = None,
    weights: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
) -> nn.Module:
    """The model that ``spec`` names or makes.

    Args:
        spec: ``pkg.module:name`` or ``path/model.py:name`` (`resolve`) of a `torch.nn.Module`, of a class of them, or
            of a function that returns one.
        keywords: keyword arguments of the class or function.
        weights: a checkpoint to load into it (`load_weights`).
        seed: start of the global random generators while the class or function runs, so that the same command makes
            the same weights. They are put back afterwards.

    Returns:
        The model, in the mode (train or eval) that it was made in. A spec that names an instance gives that instance.

    Raises:
        LoadingError: the spec resolves to nothing or to something else; keywords that do not fit; the factory raises
            or returns no module (the message says what it returned); or the checkpoint cannot be loaded.
    """
    model = _make(resolve(spec), spec, keywords or {}, seed)
    if weights is not None:
        load_weights(model, weights)
    return model


def _make(found: object, spec: str, keywords: Mapping[str, object], seed: int) -> nn.Module:
    if isinstance(found, nn.Module):
        if keywords:
            given = some(list(keywords), 3)
            raise LoadingError(f"{spec} is a model already, of class {type(found).__name__}: it takes no {given}")
        return found
    if not callable(found):
        raise LoadingError(f"{spec} is {describe(found)}: name a torch.nn.Module, a class of them or a factory")
    with seeded_randomness(seed):
        made = call(found, keywords, spec)
    if not isinstance(made, nn.Module):
        raise LoadingError(f"{spec} returned {describe(made)}, not a torch.nn.Module: name what makes the model alone")
    return made


def parse_keyword(text: str) -> tuple[str, object]:
    """The name and value of ``key=value``.

    The value is a Python literal where it is one (``3``, ``1e-5``, ``None``, ``True``, ``(1, 2)``, ``'3'``), else the
    text itself; so ``norm=none`` and ``flag=true`` are strings.

    Raises:
        LoadingError: there is no ``=``, or what stands before it is no name.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise LoadingError(f"{text!r} is not of the form key=value, such as depth=3")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser, on text that was never meant as Python
            return key, ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return key, value
