"""The batch of an inspection: the user's data, or random input, as the model takes it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from normscope import data
from normscope.report.inspection.failing_layer import InspectionError
from normscope.report.inspection.settings import Inspection


def batch_of(settings: Inspection, device: torch.device) -> data.Batch:
    """What the model is given: the batch in dimension ``batch_dim`` of every tensor, on ``device``.

    Raises:
        ValueError: there is no such data, or the inputs have no such dimension.
    """
    if settings.data is not None:
        opened = data.open_data(settings.data, batch=settings.batch, seed=settings.seed, **dict(settings.data_options))
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
    shape = (settings.batch, *(settings.input_shape or ()))
    told = "×".join(map(str, shape[1:]))
    if settings.vocab is not None:
        tokens = torch.randint(settings.vocab, shape, generator=generator)
        description = f"{settings.batch} random inputs of shape {told}: token ids 0 … {settings.vocab - 1}"
        return data.Batch(tokens, None, "random", f"{description}, equally likely, seed {settings.seed}")
    description = f"{settings.batch} random inputs of shape {told}: independent normal numbers, mean 0, variance 1"
    normal = torch.randn(shape, generator=generator)
    return data.Batch(normal, None, "random", f"{description}, seed {settings.seed}")
