"""What each column of a trace is called, how its numbers are written, and on which scale they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from normscope.report.inspection.gradients import undefined_gradients
from normscope.report.writing import Form
from normscope.tracing import Trace

Scale = Literal["log", "unit", "rank", "auto"]  # "unit": 0 to 1; "rank": 0 to the size of the batch


class Quantity(NamedTuple):
    """One column of `Trace.table` for readers.

    Attributes:
        key: the column.
        short: heading in a terminal.
        title: heading on the page.
        form: how its numbers are written.
        scale: how it is drawn through depth.
        meaning: one line: what it is, and what its extremes mean.
        drawn: whether it has a chart of its own.
        reference: another column that is drawn in that chart: what is expected of this one.
    """

    key: str
    short: str
    title: str
    form: Form = "number"
    scale: Scale = "auto"
    meaning: str = ""
    drawn: bool = False
    reference: str = ""


QUANTITIES: Final = (
    Quantity("mean", "mean", "Mean", meaning="Mean of all numbers of the output."),
    Quantity("std", "std", "Standard deviation", "number", "log", "Of all numbers of the output.", True),
    Quantity("dead_fraction", "dead", "Dead channels", "percent", "unit",
             "Share of channels that are zero on the whole batch.", True),
    Quantity("cos_mean", "cos", "Mean cosine", "cosine", "unit",
             "Of two samples. 1: all point the same way; 0: they are orthogonal.", True),
    Quantity("effective_rank", "rank", "Effective rank", "number", "rank",
             "Directions that the batch uses: exponential of the entropy of its singular values.", True),
    Quantity("odd_score", "odd", "Odd-point score", "cosine", "unit",
             "1: one sample is orthogonal to a tight cluster of the others; 0: no single sample leads.", True),
    Quantity("odd_index", "odd no.", "Oddest sample", "index", "auto", "Its number in the batch."),
    Quantity("odd_cosine", "odd cos", "Its cosine to the others", "cosine", "unit", "Mean over the others."),
    Quantity("cluster_cosine", "others", "Cosine among the others", "cosine", "unit", "The oddest sample left out."),
    Quantity("odd_norm_ratio", "odd norm", "Its norm over theirs"),
    Quantity("stable_rank", "st. rank", "Stable rank", "number", "rank",
             "Squared Frobenius norm over squared spectral norm."),
    Quantity("orthogonality_gap", "orth. gap", "Orthogonality gap", "cosine", "unit",
             "0: the samples are orthogonal and of equal norm; near 1: all are parallel.", True),
    Quantity("isometry_gap", "iso. gap", "Isometry gap", "number", "log",
             "Log of the arithmetic over the geometric mean of the Gram matrix's eigenvalues. "
             "0: orthogonal samples of equal norm; infinite: linearly dependent ones."),
    Quantity("grad_norm", "grad", "Gradient norm", "number", "log", "‖∂ loss / ∂ output‖ over the whole batch.", True),
    Quantity("grad_coherence", "coher.", "Gradient coherence", "cosine", "unit",
             "1: all samples pull each unit the same way; 0: their gradients cancel.", True),
    Quantity("grad_shared", "shared", "Shared gradient", "percent", "unit",
             "Share of the gradient's energy that is the same for every sample.", True),
    Quantity("param_grad_norm", "param grad", "Parameter gradient norm", "number", "log",
             "‖∂ loss / ∂ parameters‖ of the layer's own parameters.", True),
    Quantity("kernel_gradient_ratio", "a/b", "Kernel gradient, a / b", "number", "log",
             "Mean size of the T terms of the kernel's gradient, one a sample and position, over the mean size of "
             "their mean. Near 1: they agree, and the gradient hardly depends on the input; about √T: they cancel like "
             "independent ones.",
             True, "kernel_sqrt_terms"),
    Quantity("kernel_sqrt_terms", "√T", "√T of independent terms", "number", "log",
             "About what a / b is where the T terms of the kernel's gradient are independent."),
)  # fmt: skip
"""Every column that a trace may have by itself, in the order in which they are read."""

_NO_MEASURES = {"layer", "kind", "call", "shape", "finite", "grad_finite"}


def quantities_of(traces: Sequence[Trace]) -> list[Quantity]:
    """The quantities that at least one of the traces has a number of, or a gradient that broke.

    The user's own measures come last.
    """
    tables = [trace.table for trace in traces]
    measured = [name for table in tables for name in table if name not in _NO_MEASURES]
    having = {
        name
        for table in tables
        for name in table
        if name in measured and (table[name].notna().any() or undefined_gradients(table, str(name)).any())
    }
    known = {quantity.key for quantity in QUANTITIES}
    own = dict.fromkeys(name for name in measured if name in having and name not in known)
    return [q for q in QUANTITIES if q.key in having] + [
        Quantity(str(name), str(name), str(name), meaning="A measure of yours.", drawn=True) for name in own
    ]
