"""What `normscope inspect` is to inspect, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from normscope.loading import one_line, suggestion
from normscope.report.inspection.failing_layer import InspectionError
from normscope.report.norms import SWITCHES


@dataclass(frozen=True)
class Inspection:
    """What to inspect, and on what. Checked when made.

    These are the settings of the command line; from Python `normscope.trace` takes a model and a batch directly.
    Messages name the options: a field's own name with hyphens, but ``--kw``, ``--data-kw`` and ``--compare-kw`` for
    ``keywords``, ``data_options`` and ``compare_keywords``.

    Args:
        model: `normscope.loading.load_model`'s spec.
        keywords: keyword arguments of what makes the model.
        weights: a checkpoint to load into it.
        data: `normscope.data.open_data`'s spec; or else ``input_shape``.
        data_options: options of the data.
        input_shape: of one random input: normal numbers, or token ids with ``vocab``.
        vocab: random inputs are integers from 0 to below this.
        batch: number of samples. None: 32, or all where the data holds fewer.
        batch_dim: dimension of the inputs, and of every tensor, that is the batch.
        device: where to run.
        mode: ``"train"`` or ``"eval"``, or ``"as made"``.
        loss: a name or spec (`find_loss`): gradients are measured too.
        random_targets: targets are drawn from the seed, not taken from the data.
        layers: glob patterns of the layers to watch.
        capture: ``"modules"``, or ``"ops"`` for functional operations too.
        seed: of the weights, the data, random input and targets, and dropout.
        compare: ``"none"``, ``"recenter"``, ``"rescale"`` or ``"batch"``: the same network with just those parts of
            batch normalization; or the spec of another network.
        compare_keywords: keyword arguments of the other network.

    Raises:
        ValueError: settings that cannot run; says which, and what is possible.
    """

    model: str
    keywords: Mapping[str, object] = field(default_factory=dict)
    weights: str | None = None
    data: str | None = None
    data_options: Mapping[str, Any] = field(default_factory=dict)
    input_shape: tuple[int, ...] | None = None
    vocab: int | None = None
    batch: int | None = None
    batch_dim: int = 0
    device: str = "cpu"
    mode: Literal["as made", "train", "eval"] = "as made"
    loss: str | None = None
    random_targets: bool = False
    layers: tuple[str, ...] = ("*",)
    capture: str = "modules"
    seed: int = 0
    compare: str | None = None
    compare_keywords: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.batch is not None and self.batch < 2:
            raise InspectionError(f"--batch {self.batch}: a batch has at least 2 samples, to compare them")
        if not 0 <= self.seed < 2**32:
            raise InspectionError(f"--seed {self.seed}: a seed is from 0 to 2³² − 1")
        if self.capture not in ("modules", "ops"):
            raise InspectionError(f"--capture {one_line(self.capture)}: not known; choose from modules, ops")
        if (self.data is None) == (self.input_shape is None):
            raise InspectionError(
                "say what the model is to see: --data digits (or a file, a folder of images, file.py:loader), "
                "or --input-shape 3x224x224 for random input; one of the two"
            )
        if self.vocab is not None and (self.input_shape is None or self.vocab < 1):
            raise InspectionError(f"--vocab {self.vocab}: how many token ids there are, for --input-shape")
        if self.data_options and self.data is None:
            raise InspectionError("--data-kw says how --data is opened: there is no --data")
        if self.compare is not None and ":" not in self.compare and self.compare not in SWITCHES:
            raise InspectionError(
                f"--compare {one_line(self.compare)}: not known{suggestion(self.compare, SWITCHES)}, or another "
                "network as pkg.module:factory"
            )
        if self.compare_keywords and (self.compare is None or self.compare in SWITCHES):
            raise InspectionError("--compare-kw goes to the factory that --compare names: there is none")
        if self.random_targets and self.loss is None:
            raise InspectionError("--random-targets are for a loss: add --loss cross_entropy or --loss mse")
        if self.loss is not None and self.data is None and not self.random_targets:
            raise InspectionError(
                f"--loss {one_line(self.loss)}: random input has no targets; --random-targets draws some from the seed"
            )


def parse_shape(text: str) -> tuple[int, ...]:
    """The shape of one sample from ``3x224x224``.

    Raises:
        InspectionError: it is not of that form.
    """
    parts = text.lower().replace("×", "x").split("x")
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise InspectionError(
            f"--input-shape {one_line(text)}: write the shape of one sample, without the batch, as 3x224x224"
        )
    return tuple(map(int, parts))
