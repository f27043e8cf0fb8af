"""A piecewise affine model as a program of our own: evaluated fold by fold, for any number of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from normscope.spline.reading.checking import check
from normscope.spline.reading.folds import Fold
from normscope.spline.reading.graph import Graph, without_padding
from normscope.spline.reading.reading import graph_of, subject_of
from normscope.spline.reading.sizes import Axis, at
from normscope.spline.reading.steps import Step, Values

__all__ = ["Fold", "Program", "State", "read"]


@dataclass(frozen=True)
class State:
    """The values that the rest of a program needs, of m points that are about to pass fold ``index``.

    Attributes:
        index: the next fold; the number of folds when all are passed.
        points: m.
        live: tensors by the number of the value.
        axes: where the points are in them.
    """

    index: int
    points: int
    live: dict[int, Tensor]
    axes: dict[int, Axis]

    def __len__(self) -> int:
        return self.points

    @property
    def bytes(self) -> int:
        """Memory of the values, in bytes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.live.values())

    def take(self, rows: Any) -> State:
        """The chosen points: integers (an array, tensor or list), repeated ones too, or a mask of booleans."""
        chosen = torch.as_tensor(rows)
        chosen = chosen.nonzero().flatten() if chosen.dtype == torch.bool else chosen.long()
        live = {number: self.axes[number].take(tensor, chosen) for number, tensor in self.live.items()}
        return State(self.index, len(chosen), live, self.axes)

    def cat(self, *others: State) -> State:
        """These points, then those of the others.

        Raises:
            ValueError: another state is at another fold.
        """
        for other in others:
            if other.index != self.index:
                raise ValueError(f"states at fold {self.index} and at fold {other.index} cannot be joined")
        every = (self, *others)
        live = {
            number: torch.cat([state.live[number] for state in every], self.axes[number].dim) for number in self.live
        }
        return State(self.index, sum(map(len, every)), live, self.axes)


class Program:
    """What :func:`read` returns: the model, from fold to fold.

    Attributes:
        input_shape: of one point.
        output_shape: of what the model makes of one point.
        folds: the non-linearities in the order of computation.
    """

    def __init__(self, graph: Graph, input_shape: tuple[int, ...]) -> None:
        self.input_shape = input_shape
        self.folds = graph.folds
        self._graph = graph
        axis = graph.axes[graph.output]
        assert axis is not None
        self.output_shape = axis.sample_shape(graph.shapes[graph.output])
        alive = _alive(graph)
        self._axes = [_axes_of(graph, numbers) for numbers in alive]
        held = [{0}, *alive]
        self._stretches = [_with_frees(*each) for each in zip(graph.stretches, held, alive, strict=False)]

    def outputs(self, points: Tensor) -> Tensor:
        """What the model puts out, differentiable in the points.

        Args:
            points: shape ``(m, *input_shape)``.

        Returns:
            shape ``(m, *output_shape)``, float64.

        Raises:
            ValueError: the points have another shape.
        """
        state = self.start(points)
        while state.index < len(self.folds):
            state = self.advance(state)
        return self.result(state)

    def arguments(self, points: Tensor, upto: int | None = None) -> list[Tensor]:
        """The arguments z of folds 0 … ``upto`` (all, if not given), each ``(m, units)``; nothing later is computed.

        Differentiable in the points.

        Raises:
            ValueError: the points have another shape, or there is no such fold.
        """
        last = len(self.folds) - 1 if upto is None else upto
        if not -1 <= last < len(self.folds):
            raise ValueError(f"upto must be a fold, 0 to {len(self.folds) - 1}, not {upto}")
        if last < 0:
            return []
        state = self.start(points)
        found = [self.argument(state)]
        while state.index < last:
            state = self.advance(state)
            found.append(self.argument(state))
        return found

    def start(self, points: Tensor) -> State:
        """The points before fold 0.

        Raises:
            ValueError: the points have another shape.
        """
        if points.dim() != 1 + len(self.input_shape) or tuple(points.shape[1:]) != self.input_shape:
            raise ValueError(
                f"points have shape {tuple(points.shape)}: the model was read for inputs of shape "
                f"{self.input_shape}, so give (number of points, {', '.join(map(str, self.input_shape))})"
            )
        return self._run(0, {0: points.to("cpu", torch.float64)}, len(points))

    def argument(self, state: State) -> Tensor:
        """``(m, units)``: z of the next fold.

        Raises:
            ValueError: all folds are passed.
        """
        if state.index == len(self.folds):
            raise ValueError("all folds are passed: the state holds the output")
        number = self._graph.arguments[state.index]
        rows = state.axes[number].rows(state.live[number])
        padding = self._graph.padding.get(state.index)
        return rows if padding is None else rows.masked_fill(padding, 0.0)

    def advance(self, state: State) -> State:
        """Through the next fold, and the affine stretch after it.

        Raises:
            ValueError: all folds are passed.
        """
        if state.index == len(self.folds):
            raise ValueError("all folds are passed: the state holds the output")
        return self._run(state.index + 1, dict(state.live), state.points)

    def result(self, state: State) -> Tensor:
        """The output, shape ``(m, *output_shape)``, of a state that has passed all folds.

        Raises:
            ValueError: there are folds to pass.
        """
        if state.index < len(self.folds):
            raise ValueError(f"the state is before fold {state.index} of {len(self.folds)}")
        return state.live[self._graph.output]

    def _run(self, index: int, values: Values, samples: int) -> State:
        if not samples:  # some operators go wrong on nothing
            shapes = {number: at(self._graph.shapes[number], 0) for number in self._axes[index]}
            empty = {number: torch.zeros(shape, dtype=torch.float64) for number, shape in shapes.items()}
            return State(index, 0, empty, self._axes[index])
        for step, free in self._stretches[index]:
            step.run(values, samples)
            for number in free:
                del values[number]
        return State(index, samples, {number: values[number] for number in self._axes[index]}, self._axes[index])

    def __repr__(self) -> str:
        return f"Program({self.input_shape} -> {self.output_shape}, {len(self.folds)} folds)"


def _alive(graph: Graph) -> list[set[int]]:
    """The values that are alive before each fold, and at the end."""
    alive = {graph.output}
    found = [alive]
    for index in range(len(graph.folds) - 1, -1, -1):
        alive = set(alive)
        for step in reversed(graph.stretches[index + 1]):
            alive.difference_update(step.outputs)
            alive.update(step.refs())
        alive.add(graph.arguments[index])
        found.append(alive)
    return found[::-1]


def _axes_of(graph: Graph, numbers: set[int]) -> dict[int, Axis]:
    axes = {number: graph.axes[number] for number in numbers}
    return {number: axis for number, axis in axes.items() if axis is not None}


def _with_frees(stretch: Sequence[Step], held: set[int], keep: set[int]) -> list[tuple[Step, tuple[int, ...]]]:
    """Each step, and the values that nothing after it reads, of those that are held before and those that it makes."""
    needed = set(keep)
    found = []
    for step in reversed(stretch):
        free = {*step.refs(), *step.outputs} - needed
        needed |= set(step.refs())
        found.append((step, tuple(free)))
    if found:
        step, free_first = found.pop()
        found.append((step, tuple({*free_first, *(held - needed)})))
    return found[::-1]


def read(model: nn.Module, sample: Tensor | tuple[int, ...], *, batch: Tensor | None = None) -> Program:
    """The model, in eval mode and float64, as a `Program`; the model itself stays bit-identical.

    Args:
        model: any module that is continuous and piecewise affine in its one input.
        sample: one input without the batch dimension, or its shape.
        batch: shape ``(n, *input_shape)``: every batch normalization uses the statistics of this batch, layer by
            layer, as it would in train mode. Without it, running statistics.

    Raises:
        NotPiecewiseAffineError: an operation is not piecewise affine; the message names the layer.
        LoadingError: the model cannot be copied or run on such an input.
    """
    subject = subject_of(model, sample, batch)
    program = Program(graph_of(subject), subject.shape)
    graph = without_padding(program._graph, program.arguments(subject.batch(2)))
    program = Program(graph, subject.shape)
    check(program, subject)
    return program
