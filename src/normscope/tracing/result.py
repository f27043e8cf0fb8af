"""`Trace`: what was measured on one model and batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Trace:
    """What was measured on one model and one batch.

    Attributes:
        table: one row a layer call, in the order of the forward pass. Columns: ``layer``, ``kind`` (class of the
            module), ``call`` (0 for the first call of that layer), ``shape`` of the output, ``mean``, ``std``,
            ``dead_fraction`` (share of channels that are zero on the whole batch), and of the Gram matrix of the
            outputs ``cos_mean``, ``effective_rank``, ``stable_rank``, ``orthogonality_gap``, ``isometry_gap``,
            ``odd_index``, ``odd_cosine``, ``cluster_cosine``, ``odd_norm_ratio``, ``odd_score`` (see
            `normscope.measure`); with a loss also ``grad_norm`` and ``grad_coherence`` of the loss by the layer's
            output, and ``param_grad_norm``. What is not defined (the geometry of an output without a row a sample)
            is NaN.
        model: class name of the model.
        batch: number of samples, n.
        training: whether the model was in train mode.
        loss: value of the loss, or None.
    """

    table: pd.DataFrame
    model: str
    batch: int
    training: bool
    loss: float | None = None
    _grams: Mapping[tuple[str, int], NDArray[np.float64]] = field(default_factory=dict, repr=False)

    def gram(self, layer: str, call: int = 0) -> NDArray[np.float64]:
        """Gram matrix X Xᵀ / d of the outputs of one layer call.

        Args:
            layer: name of the layer, as in the column ``layer``.
            call: which of its calls.

        Returns:
            Array of shape (n, n), float64.

        Raises:
            KeyError: no such layer or call, or its output has no row a sample.
        """
        try:
            return self._grams[layer, call].copy()
        except KeyError:
            raise KeyError(self._why_no_gram(layer, call)) from None

    def _why_no_gram(self, layer: str, call: int) -> str:
        calls = self.table.loc[self.table["layer"] == layer, "call"]
        if calls.empty:
            some = ", ".join(self.table["layer"].unique()[:5])
            return f"no layer {layer!r} in this trace; it has {self.table['layer'].nunique()}: {some}, ..."
        if call not in set(calls):
            return f"layer {layer!r} was called {len(calls)} times: call must be below that, not {call}"
        return f"the output of layer {layer!r} has no row a sample, so it has no Gram matrix"

    def __str__(self) -> str:
        mode = "train" if self.training else "eval"
        loss = "" if self.loss is None else f", loss {self.loss:.4g}"
        head = f"Trace of {self.model}: {len(self.table)} layer calls, batch {self.batch}, {mode} mode{loss}"
        shown = [
            "layer",
            "kind",
            "mean",
            "std",
            "cos_mean",
            "effective_rank",
            "odd_index",
            "odd_score",
            "grad_norm",
        ]
        table = self.table[[name for name in shown if name in self.table]]
        return f"{head}\n{table.to_string(float_format=lambda v: f'{v:.3g}', max_rows=40)}"
