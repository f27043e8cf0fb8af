"""The batch of an inspection: the user's data, or random input, as the model takes it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from normscope import data
from normscope.loading import one_line
from normscope.report.inspection.failing_layer import InspectionError
from normscope.report.inspection.settings import Inspection

_SAMPLES = 32  # at most, if nobody asks for a number


def batch_of(settings: Inspection, device: torch.device) -> data.Batch:
    """What the model is given: the batch in dimension ``batch_dim`` of every tensor, on ``device``.

    Raises:
        ValueError: there is no such data, or the inputs have no such dimension.
    """
    if settings.data is not None:
        opened = data.open_data(
            settings.data, batch=settings.batch or _SAMPLES, seed=settings.seed, fewer=settings.batch is None,
            **dict(settings.data_options),
        )  # fmt: skip
        if len(tree_leaves(opened.inputs)[0]) < 2:
            raise InspectionError(f"--data {one_line(settings.data)}: it holds one sample, and a batch has at least 2")
    else:
        opened = _random_batch(settings)
    dimension = settings.batch_dim

    def placed(value: Tensor) -> Tensor:
        if not -value.dim() <= dimension < value.dim():
            raise InspectionError(f"--batch-dim {dimension}: the inputs have {value.dim()} dimensions, from 0 on")
        return value.movedim(0, dimension).to(device)

    inputs = tree_map(placed, opened.inputs)
    targets = opened.targets if opened.targets is None else tree_map(lambda value: value.to(device), opened.targets)
    return data.Batch(inputs, targets, opened.name, opened.description)


def _random_batch(settings: Inspection) -> data.Batch:
    generator = torch.Generator().manual_seed(settings.seed)
    count = settings.batch or _SAMPLES
    shape = (count, *(settings.input_shape or ()))
    told = "×".join(map(str, shape[1:]))
    if settings.vocab is not None:
        tokens = torch.randint(settings.vocab, shape, generator=generator)
        description = f"{count} random inputs of shape {told}: token ids 0 … {settings.vocab - 1}"
        return data.Batch(tokens, None, "random", f"{description}, equally likely, seed {settings.seed}")
    description = f"{count} random inputs of shape {told}: independent normal numbers, mean 0, variance 1"
    normal = torch.randn(shape, generator=generator)
    return data.Batch(normal, None, "random", f"{description}, seed {settings.seed}")
