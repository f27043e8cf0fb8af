"""`Trace`: what was measured on one model and batch."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from normscope import measure
from normscope.system import written_whole
from normscope.tracing.compare import side_by_side
from normscope.tracing.lookup import NotInTrace, finite_rows, matching_rows, numbers, require_call
from normscope.tracing.printing import as_html, as_text
from normscope.tracing.storage import read_trace, write_trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """What was measured on one model and one batch.

    Attributes:
        table: one row a layer call, in the order of the forward pass. Columns: ``layer``, ``kind`` (class of the
            module, or name of the operation), ``call`` (0 for the first call of that layer), ``shape`` of the output,
            ``mean``, ``std``, ``dead_fraction`` (share of channels that are zero on the whole batch), ``finite``
            (neither NaN nor infinity), and of the Gram matrix of the outputs ``cos_mean``, ``effective_rank``,
            ``stable_rank``, ``orthogonality_gap``, ``isometry_gap``, ``odd_index`` (-1 where there is no Gram
            matrix), ``odd_cosine``, ``cluster_cosine``, ``odd_norm_ratio``, ``odd_score`` (see `normscope.measure`);
            with a loss also, of its gradient by the layer's output, ``grad_norm``, ``grad_coherence`` and
            ``grad_shared`` (share of its energy that is the same for every sample, n ‖mean_b g_b‖² / Σ_b ‖g_b‖²), and
            ``param_grad_norm`` of the layer's parameters and ``grad_finite`` (neither norm is NaN or infinite; a
            gradient that was not measured counts as finite); ``kernel_gradient_ratio`` of linear layers and
            convolutions, if it was asked for: mean size of the terms of which the kernel's gradient is the sum, one a
            sample and position, over the mean size of their mean (a / b of `normscope.measure.KernelGradient`). Near 1
            all terms agree and the gradient hardly depends on the input; of T independent terms it is about √T, which
            is ``kernel_sqrt_terms``; and a column for each measure of the user's own. What is not defined is NaN.
        model: class name of the model.
        batch: number of samples, n.
        training: whether the model was in train mode.
        loss: value of the loss, or None.
        seed: seed of the random generators while the model ran.
        notes: what a reader must know, such as an approximation that was made.
        output_gradients: of a classifier, if it was asked for, what its gradient by the outputs tells: does it predict
            one class, whatever the input? ``images`` and ``classes``, and by name the numbers of
            `normscope.measure.OutputGradients`: ``largest_class``, ``largest_share`` (about 1/(K − 1) of K classes when
            none is preferred, 1 when one is predicted always), ``positive_share``, ``cosine``, ``correlation``,
            ``rank_one_energy``; and of the outputs themselves ``predicted_class``, the one that is most often the
            largest, ``predicted_share``, of the samples for which it is, and ``label_share``, of those that are of it.
            Else empty.
    """

    table: pd.DataFrame
    model: str
    batch: int
    training: bool
    loss: float | None = None
    seed: int = 0
    notes: tuple[str, ...] = ()
    output_gradients: Mapping[str, float] = field(default_factory=dict)
    _channels: Mapping[tuple[str, int], Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    _grams: Mapping[tuple[str, int], NDArray[np.float64]] = field(default_factory=dict)

    def gram(self, layer: str, call: int = 0) -> NDArray[np.float64]:
        """Gram matrix X Xᵀ / d of the outputs of one layer call.

        Args:
            layer: name of the layer, as in the column ``layer``.
            call: which of its calls.

        Returns:
            Array of shape (n, n), float64; a copy.

        Raises:
            KeyError: no such layer or call, or it has no Gram matrix.
        """
        require_call(self.table, layer, call)
        if (layer, call) not in self._grams:
            why = "its output has no row a sample" if self._grams else "the geometry was not measured"
            raise NotInTrace(f"layer {layer!r} has no Gram matrix: {why}")
        return self._grams[layer, call].copy()

    def cosines(self, layer: str, call: int = 0) -> NDArray[np.float64]:
        """cos(i, j) = G_ij / √(G_ii G_jj) of the outputs of one layer call; NaN where a sample is zero.

        Args:
            layer: name of the layer, as in the column ``layer``.
            call: which of its calls.

        Returns:
            Array of shape (n, n), float64, in [-1, 1].

        Raises:
            KeyError: no such layer or call, or it has no Gram matrix.
        """
        cosines: NDArray[np.float64] = measure.cosine_matrix(torch.from_numpy(self.gram(layer, call))).numpy()
        return cosines

    def channels(self, layer: str, call: int = 0) -> pd.DataFrame:
        """Moments of every channel of one layer call, over the batch and all positions.

        Args:
            layer: name of the layer, as in the column ``layer``.
            call: which of its calls.

        Returns:
            One row a channel: ``mean``, ``std`` (biased, as in batch norm), ``dead`` (zero on the whole batch).

        Raises:
            KeyError: no such layer or call, or its channels were not measured.
        """
        require_call(self.table, layer, call)
        if (layer, call) not in self._channels:
            why = "its output has none" if self._channels else "the moments were not measured"
            raise NotInTrace(f"layer {layer!r} has no channels: {why}")
        return pd.DataFrame(dict(self._channels[layer, call])).rename_axis("channel")

    def growth(self, column: str, layers: str | Sequence[str] = "*") -> float:
        """exp(slope) of log values against depth, by least squares: the factor from one row to the next.

        Depth counts the rows of ``layers`` alone, so ``growth("std", "blocks.*.activation")`` is the factor a block.
        Rows whose value is zero or not finite have no logarithm; they count as depth, but are not fitted.

        Args:
            column: of positive numbers, such as ``std`` or ``grad_norm``. Through depth, the gradient's factor is
                below 1 when gradients explode: they are computed from the last layer to the first.
            layers: glob pattern, or several, of the layers to fit.

        Returns:
            The factor; NaN with fewer than two values to fit.

        Raises:
            KeyError: no such column.
            TypeError: the column holds no numbers.
            ValueError: no layer matches, or a value is negative.
        """
        values = numbers(self.table, column)[matching_rows(self.table, layers)]
        if (values < 0).any():
            raise ValueError(f"column {column!r} has negative values, which grow by no factor")
        usable = np.isfinite(values) & (values > 0)
        depth, logs = np.flatnonzero(usable), np.log(values[usable])
        if len(depth) < 2:
            return float("nan")
        centred = depth - depth.mean()
        with np.errstate(over="ignore"):
            return float(np.exp(centred @ logs / (centred @ centred)))

    @property
    def first_nonfinite(self) -> tuple[str, int] | None:
        """(layer, call) of the first output that holds NaN or infinity; None when there is none."""
        broken = np.flatnonzero(~finite_rows(self.table, self._grams))
        if not broken.size:
            return None
        row = self.table.iloc[broken[0]]
        return str(row["layer"]), int(row["call"])

    def compare(self, other: Trace, *, suffixes: tuple[str, str] = ("_self", "_other")) -> pd.DataFrame:
        """Two traces side by side: what changes from ``self`` to ``other``.

        Args:
            other: trace of the same model in another state, or of another model.
            suffixes: of the columns of either.

        Returns:
            One row a (layer, call) of either: those of ``self`` in its order, then those that only ``other`` has.
            Every column is there twice, with its suffix, and behind numbers their change: ``<column>_ratio``,
            other / self, for sizes and counts (standard deviations, ranks, norms), and ``<column>_difference``,
            other - self, for all others. What one of the two does not have is missing (NaN; flags and indices are of
            pandas' nullable types).

        Raises:
            TypeError: ``other`` is no trace.
            ValueError: the suffixes do not tell the columns apart.
        """
        if not isinstance(other, Trace):
            raise TypeError(f"a Trace can be compared with a Trace, not with a {type(other).__name__}")
        return side_by_side(self.table, other.table, suffixes)

    @overload
    def plot(  # type: ignore[overload-overlap]  # a str is a sequence of str, too: the first that fits is meant
        self, columns: str, *, ax: Axes | None = None, layers: str | Sequence[str] = "*", label: str | None = None
    ) -> Axes: ...

    @overload
    def plot(
        self,
        columns: Sequence[str] | None = None,
        *,
        ax: Sequence[Axes] | NDArray[Any] | None = None,
        layers: str | Sequence[str] = "*",
        label: str | None = None,
    ) -> NDArray[Any]: ...

    def plot(
        self,
        columns: str | Sequence[str] | None = None,
        *,
        ax: Axes | Sequence[Axes] | NDArray[Any] | None = None,
        layers: str | Sequence[str] = "*",
        label: str | None = None,
    ) -> Axes | NDArray[Any]:
        """Draw columns of the table through depth, with matplotlib (the extra ``plot``).

        The axis is logarithmic where positive values span two decades, and covers all of [0, 1] for what lies in it.

        Args:
            columns: one column, or several, each in a panel of its own; by default the main ones that were measured.
            ax: where to draw: as many Axes as columns. By default a new figure of pyplot, which is not shown.
            layers: glob pattern, or several, of the layers to draw.
            label: draws one line with this name in the legend, to lay several traces over each other in one ``ax``;
                by default there is a line for each kind of layer.

        Returns:
            The Axes for one column given by its name, an array of Axes otherwise.

        Raises:
            ImportError: matplotlib is not installed.
            KeyError: no such column.
            TypeError: a column holds no numbers.
            ValueError: no layer matches, or the number of Axes is not that of the columns.
        """
        from normscope.tracing import figures  # matplotlib is optional, and slow to import

        return figures.plot(self, columns, ax, layers, label)

    def plot_cosines(self, layer: str, call: int = 0, *, ax: Axes | None = None) -> Axes:
        """Draw the cosines between all samples at one layer call as a heat map from -1 (blue) to 1 (red).

        Args:
            layer: name of the layer, as in the column ``layer``.
            call: which of its calls.
            ax: where to draw; by default a new figure of pyplot, which is not shown.

        Returns:
            The Axes. Samples without a direction (zero, or not finite) are grey.

        Raises:
            ImportError: matplotlib is not installed.
            KeyError: no such layer or call, or it has no Gram matrix.
        """
        from normscope.tracing import figures  # matplotlib is optional, and slow to import

        return figures.plot_cosines(self, layer, call, ax)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one .npz file, whole or not at all; `Trace.load` gives it back bit for bit.

        It is a zip of ``meta.json``, which names all parts, and of arrays that `numpy.load` reads: ``table/<column>``,
        ``gram/<k>``, ``channels/<k>/<moment>``. No pickle. The index of the table is not kept.

        Args:
            path: the file; ``.npz`` is appended unless it ends so, as `numpy.savez` does.

        Returns:
            The path that was written.

        Raises:
            OSError: it cannot be written.
            TypeError, ValueError: a column that was added to the table holds what such a file cannot.
        """
        return write_trace(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """Read what `save` wrote. Safe for files of unknown origin: nothing in them is executed.

        Args:
            path: the file, with or without ``.npz``.

        Raises:
            LoadingError: (a ValueError) no such file, no trace, from a newer version, damaged or hostile: one line.
        """
        return cls(**read_trace(path))

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """The trace as one self-contained page, the one of ``normscope inspect``.

        Args:
            path: file to write it to, too, whole or not at all.

        Returns:
            The page.

        Raises:
            OSError: the file cannot be written.
        """
        # report builds on tracing; named when it is needed, so that importing tracing never leads up there
        report = importlib.import_module("normscope.report")
        page: str = report.render_trace(self)
        if path is not None:
            with written_whole(path) as file:
                file.write(page.encode("utf-8"))
        return page

    def __str__(self) -> str:
        return as_text(self, shutil.get_terminal_size((120, 40)).columns)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self)
