"""What the main job runs."""

from __future__ import annotations

from dataclasses import dataclass

NORMS = ("batch", "recenter", "rescale", "none")
MODELS = ("mlp", "resnet")
_DIGITS = 1797  # in scikit-learn's set


class SettingError(ValueError):
    """A setting that cannot run.

    Attributes:
        name: the field of `Settings`.
        problem: its value, and what is wrong with it.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")
        self.name, self.problem = name, problem


@dataclass(frozen=True)
class Settings:
    """What the main job runs. Checked when made.

    Args:
        seed: seed of the batch and of the weights.
        batch: number of digits.
        depth: hidden layers of the MLP.
        width: units in each of them.
        resnet_depth: layers of the CIFAR ResNet, 6 m + 2.
        models: which of "mlp", "resnet".
        norms: which of "batch", "recenter", "rescale", "none".

    Raises:
        SettingError: a setting that cannot run; says which and what is possible.
    """

    seed: int = 0
    batch: int = 64
    depth: int = 300
    width: int = 256
    resnet_depth: int = 110
    models: tuple[str, ...] = MODELS
    norms: tuple[str, ...] = NORMS

    def __post_init__(self) -> None:
        _at_least("batch", self.batch, 4, "a batch has at least 4 samples: with fewer no point can be odd")
        if self.batch > _DIGITS:
            raise SettingError("batch", f"{self.batch}: there are {_DIGITS} digits")
        _at_least("depth", self.depth, 1, "a network has at least 1 hidden layer")
        _at_least("width", self.width, 1, "a layer has at least 1 unit")
        _at_least("seed", self.seed, 0, "a seed is not negative")
        if self.seed >= 2**32:
            raise SettingError("seed", f"{self.seed}: a seed has 32 bits")
        if self.resnet_depth < 8 or (self.resnet_depth - 2) % 6:
            raise SettingError("resnet_depth", f"{self.resnet_depth}: must be 6 m + 2 with m >= 1, such as 20 or 110")
        _known("models", self.models, MODELS)
        _known("norms", self.norms, NORMS)


def _at_least(name: str, value: int, least: int, why: str) -> None:
    if value < least:
        raise SettingError(name, f"{value}: {why}")


def _known(name: str, chosen: tuple[str, ...], known: tuple[str, ...]) -> None:
    for position, word in enumerate(chosen):
        if word not in known:
            raise SettingError(name, f"{word}: not known; choose from {', '.join(known)}")
        if word in chosen[:position]:
            raise SettingError(name, f"{word}: named twice")
    if not chosen:
        raise SettingError(name, f"must hold at least one of {', '.join(known)}")
