"""From two recordings to the steps of a program: what depends on the input, in order, and where it folds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from normscope.spline.reading.affine import RESHAPING, SHAPE_ONLY, why_not_affine
from normscope.spline.reading.folds import Fold, JumpsError, argument_step, bend_of, evaluated_rrelu
from normscope.spline.reading.naming import Place, words_of
from normscope.spline.reading.recording import Call, Recording, Ref
from normscope.spline.reading.refusal import NotPiecewiseAffineError
from normscope.spline.reading.sizes import Axis, DifferError, Shape, sample_axis, unified
from normscope.spline.reading.steps import Step, refs_in

Label = Callable[[str], str]


class _Kind(IntEnum):
    """What a value depends on; the largest of its arguments' is an operation's."""

    CONSTANT = 0
    SAMPLES = 1  # their number alone
    INPUT = 2


@dataclass(frozen=True)
class Graph:
    """The computation of a model.

    Attributes:
        stretches: the steps before the first fold, from it to the second, …, from the last one on.
        folds: the folds.
        arguments: the number of z of each fold.
        axes: where the samples are in each value, None where there is no such place.
        shapes: the shape of every value.
        output: the number of the output.
        padding: entries of z that are −∞ whatever the input is, by the number of the fold: masks, shape (units,).
    """

    stretches: tuple[tuple[Step, ...], ...]
    folds: tuple[Fold, ...]
    arguments: tuple[int, ...]
    axes: dict[int, Axis | None]
    shapes: tuple[Shape, ...]
    output: int
    padding: Mapping[int, Tensor] = field(default_factory=dict)


def build(one: Recording, two: Recording, label: Label) -> Graph:
    """The graph of the computation that both recordings, of different numbers of samples, are.

    Args:
        one: a recording.
        two: another, with another input and number of samples.
        label: a layer as messages tell it.

    Raises:
        NotPiecewiseAffineError: an operation is not piecewise affine, or the recordings are of different computations.
    """
    samples = (one.batch, two.batch)
    steps = [_merged(a, b, samples, label) for a, b in zip(one.calls, two.calls, strict=False)]
    if len(one.calls) != len(two.calls) or one.output != two.output:
        longer = max(one.calls, two.calls, key=len)
        layer = longer[min(len(steps), len(longer) - 1)].layer
        raise _control_flow(label(layer))
    shapes = _shapes(steps, one, two, label)
    steps = [_canonical(step, shapes) for step in steps]
    kinds = _kinds(steps, len(shapes))
    live = _live(steps, one.output)
    steps = [step for step in steps if not live.isdisjoint(step.outputs)]
    # of what is computed from the input torch also tags what draws only if asked to: attention without dropout
    drawing = [s for s in steps if kinds[s.outputs[0]] != _Kind.INPUT or s.name.startswith("rrelu_with_noise")]
    _require_no_chance(drawing, label)
    steps = [step for step in steps if kinds[step.outputs[0]]]
    steps = [_with_constants(step, one, two, kinds, label) for step in steps]
    return _cut_at_folds(steps, shapes, kinds, live, one.output, label)


def _merged(a: Call, b: Call, samples: tuple[int, int], label: Label) -> Step:
    if a.function is not b.function or a.layer != b.layer or a.outputs != b.outputs:
        raise _control_flow(label(a.layer))
    try:
        args, kwargs = unified((a.args, a.kwargs), (b.args, b.kwargs), samples)
    except DifferError:
        raise _control_flow(label(a.layer)) from None
    return Step(a.function._schema.name.partition("::")[2], a.function, args, kwargs, a.outputs, a.layer, a.place)


def _control_flow(layer: str) -> NotPiecewiseAffineError:
    return NotPiecewiseAffineError(
        f"{layer} does something else for another batch: what it computes may depend on the input alone, one sample "
        f"at a time, by the same operations for all"
    )


def _shapes(steps: list[Step], one: Recording, two: Recording, label: Label) -> list[Shape]:
    """The shape of every value, also where nothing is computed from it."""
    makers = {output: step.layer for step in steps for output in step.outputs}
    found: list[Shape] = []
    for number, (a, b) in enumerate(zip(one.shapes, two.shapes, strict=True)):
        try:
            found.append(unified(a, b, (one.batch, two.batch)))
        except DifferError:
            raise _control_flow(label(makers.get(number, ""))) from None
    return found


def _canonical(step: Step, shapes: list[Shape]) -> Step:
    """The step in words that hold for every number of samples, and without memory that nobody filled."""
    if step.name in RESHAPING and len(step.outputs) == 1:
        # into the shape itself: −1 and a squeeze do not tell it for no sample, or for one
        return replace(step, function=torch.reshape, args=(step.args[0], shapes[step.outputs[0]]), kwargs={})
    if step.name.startswith("rrelu_with_noise"):
        return evaluated_rrelu(step)
    return step


def _kinds(steps: Iterable[Step], values: int) -> list[_Kind]:
    kinds = [_Kind.CONSTANT] * values
    kinds[0] = _Kind.INPUT
    for step in steps:
        kind = max((kinds[index] for index in step.refs()), default=_Kind.CONSTANT)
        if step.follows_samples():
            kind = max(kind, _Kind.SAMPLES)
        if step.name in SHAPE_ONLY and kind == _Kind.INPUT:
            kind = _Kind.SAMPLES
        for output in step.outputs:
            kinds[output] = kind
    return kinds


def _live(steps: list[Step], output: int) -> set[int]:
    """The values that the output is computed from."""
    live = {output}
    for step in reversed(steps):
        if not live.isdisjoint(step.outputs):
            live.update(step.refs())
    return live


def _require_no_chance(steps: Iterable[Step], label: Label) -> None:
    for step in steps:
        if torch.Tag.nondeterministic_seeded in getattr(step.function, "tags", ()):
            raise NotPiecewiseAffineError(f"{label(step.layer)} draws random numbers in eval mode too ({step.name})")


def _with_constants(step: Step, one: Recording, two: Recording, kinds: list[_Kind], label: Label) -> Step:
    """The step with the values of constants in the place of their numbers."""

    def value(argument: Any) -> Any:
        if not isinstance(argument, Ref) or kinds[argument.index]:
            return argument
        constant, again = one.constants[argument.index], two.constants[argument.index]
        if constant.layout != torch.strided or constant.is_complex() or constant.is_quantized:
            kind = "complex" if constant.is_complex() else "sparse or quantized"
            raise NotPiecewiseAffineError(
                f"{label(step.layer)} computes with {kind} numbers ({step.name}): say it with dense, real tensors"
            )
        if constant.shape != again.shape or not torch.equal(constant.nan_to_num(), again.nan_to_num()):
            raise NotPiecewiseAffineError(
                f"{label(step.layer)} uses numbers that are others in every pass: they are random, change, or are "
                f"computed from the input outside of torch"
            )
        return constant.double() if constant.is_floating_point() else constant

    args, kwargs = tree_map(value, (step.args, step.kwargs))
    return replace(step, args=args, kwargs=kwargs)


def _cut_at_folds(
    steps: list[Step],
    shapes: list[Shape],
    kinds: list[_Kind],
    live: set[int],
    output: int,
    label: Label,
) -> Graph:
    def depends(argument: Any) -> bool:
        return any(kinds[index] == _Kind.INPUT for index in refs_in(argument))

    stretches: list[list[Step]] = [[]]
    folds: list[Fold] = []
    arguments: list[int] = []
    places: list[Place] = []
    for step in steps:
        if kinds[step.outputs[0]] == _Kind.INPUT:
            try:
                bend = bend_of(step, shapes, depends)
            except JumpsError as jump:
                raise NotPiecewiseAffineError(f"{label(step.layer)} {jump}") from None
            called = step.place.operation if step.place else ""
            reason = None if bend is not None else why_not_affine(step.name, step.args, step.kwargs, depends, called)
            if bend is not None and not live.isdisjoint(step.outputs[1:]):
                reason = f"uses the places of maxima ({step.name}), not their values alone"
            if reason:
                raise NotPiecewiseAffineError(f"{label(step.layer)} {reason}")
            if bend is not None and bend.folds:
                number = len(shapes)
                before = argument_step(step, bend, number)
                z = step.args[0].index if before is None else number
                if before is not None:
                    shape = shapes[step.outputs[0]] if bend.argument == "difference" else shapes[step.args[0].index]
                    shapes.append(shape)
                    kinds.append(_Kind.INPUT)
                    stretches[-1].append(before)
                axis = sample_axis(shapes[z])
                if axis is None:
                    raise NotPiecewiseAffineError(f"{label(step.layer)} mixes the samples of a batch")
                folds.append(Fold("", bend.kind, axis.sample_shape(shapes[z]), bend.kinks, bend.windows))
                places.append(step.place or Place(step.name))
                arguments.append(z)
                stretches.append([])
        stretches[-1].append(step)
    axes = {number: sample_axis(shape) for number, shape in enumerate(shapes)}
    named = tuple(
        replace(fold, layer=word, traced=(place.layer, place.call) if place.counted else None)
        for fold, place, word in zip(folds, places, words_of(places), strict=True)
    )
    return Graph(tuple(map(tuple, stretches)), named, tuple(arguments), axes, tuple(shapes), output)


def without_padding(graph: Graph, arguments: Sequence[Tensor]) -> Graph:
    """The graph with maxima that leave out entries of −∞: an image may be padded by that before its maxima are taken.

    Args:
        graph: the graph.
        arguments: z of every fold at some points.
    """
    folds, padding = list(graph.folds), {}
    for number, (fold, argument) in enumerate(zip(graph.folds, arguments, strict=True)):
        if fold.windows is not None and (mask := (argument == -torch.inf).all(0)).any():
            windows = np.where(mask.numpy()[fold.windows], -1, fold.windows)
            folds[number], padding[number] = replace(fold, windows=windows), mask
    return replace(graph, folds=tuple(folds), padding=padding) if padding else graph
