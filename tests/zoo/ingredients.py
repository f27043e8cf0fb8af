"""What the cases of the zoo are made of: batches, the losses that one would train with, and `Case` itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH = 5
CLASSES = 4
VOCABULARY = 40
TOKENS = 7
TARGETS = torch.tensor([0, 1, 2, 3, 0])

Loss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class Case:
    """One architecture, a batch for it, and the loss that one would train it with."""

    build: Callable[[], nn.Module]
    inputs: Callable[[], Any]
    loss: Loss
    targets: Tensor | None = None
    batch_dim: int = 0

    def model(self) -> nn.Module:
        """The same weights each time, a gradient in every parameter; the global generator stays where it is."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = self.build()
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        return model


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def images(size: int = 32) -> Callable[[], Tensor]:
    return lambda: torch.randn(BATCH, 3, size, size, generator=generator())


def tokens(*shape: int) -> Tensor:
    # 3 and above: the first few are padding, start and end in most vocabularies
    return torch.randint(3, VOCABULARY, shape, generator=generator())


def text(**more: Callable[[], Tensor]) -> Callable[[], dict[str, Tensor]]:
    return lambda: {"input_ids": tokens(BATCH, TOKENS), **{name: make() for name, make in more.items()}}


def padding() -> Tensor:
    """Attention mask of sequences of different lengths."""
    lengths = torch.tensor([TOKENS, 4, TOKENS, 2, 6])
    return (torch.arange(TOKENS) < lengths[:, None]).long()


def sound(samples: int = 400) -> Tensor:
    return torch.randn(BATCH, samples, generator=generator())


def labelled_sound() -> dict[str, Tensor]:
    return {"input_values": sound(), "labels": tokens(BATCH, 3) % 20 + 1}


def boxes() -> list[dict[str, Tensor]]:
    """One object in each image: what detectors want their labels to be, nested in the inputs."""
    box = torch.tensor([[0.5, 0.5, 0.25, 0.5]])
    return [{"class_labels": TARGETS[i : i + 1], "boxes": box} for i in range(BATCH)]


def segments(size: int) -> dict[str, Any]:
    """Two segments in each image, the left half and the right half."""
    left = (torch.arange(size) < size // 2).float().expand(size, size)
    masks = torch.stack([left, 1 - left])
    return {
        "pixel_values": images(size)(),
        "mask_labels": [masks] * BATCH,
        "class_labels": [torch.tensor([0, 1])] * BATCH,
    }


def pictures_and_captions() -> dict[str, Tensor]:
    return {"input_ids": tokens(BATCH, TOKENS), "pixel_values": images()()}


def classified(outputs: Any, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs if isinstance(outputs, Tensor) else outputs.logits, targets)


def next_token(outputs: Any, targets: Tensor) -> Tensor:
    logits = outputs if isinstance(outputs, Tensor) else outputs.logits
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten())


def each_position(outputs: Any, targets: Tensor) -> Tensor:
    logits = outputs if isinstance(outputs, Tensor) else outputs.logits
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())


def each_pixel(outputs: Any, _: Any) -> Tensor:
    logits = outputs.logits
    classes = torch.arange(logits[:, 0].numel()).view_as(logits[:, 0]) % CLASSES
    return F.cross_entropy(logits, classes)


def its_own(outputs: Any, _: Any) -> Tensor:
    """The loss that the model computes itself from the labels in its inputs."""
    return outputs.loss


def energy(outputs: Any, _: Any) -> Tensor:
    first = outputs if isinstance(outputs, Tensor) else outputs[0]
    return first.square().mean()


def contrastive(outputs: Any, _: Any) -> Tensor:
    pairs = torch.arange(BATCH)
    return F.cross_entropy(outputs.logits_per_text, pairs) + F.cross_entropy(outputs.logits_per_image, pairs)
