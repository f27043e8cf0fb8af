"""What a decomposed batch normalization does (recenter, rescale, by which scale) and the statistics it then needs."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

Scale = Literal["auto", "std", "rms"]
"""The word that chooses the scale: ``"std"``, ``"rms"``, or ``"auto"`` (std when recentering, rms when not)."""

StatisticName = Literal["running_mean", "running_var", "running_mean_square"]

STATISTICS: tuple[StatisticName, ...] = get_args(StatisticName)
"""Every running statistic there is, in the order of a state dict."""


class Switches(NamedTuple):
    """Which parts of batch normalization are on, with the scale resolved to a word that says what is computed."""

    recenter: bool
    rescale: bool
    scale: Literal["std", "rms"]

    @property
    def is_batch_norm(self) -> bool:
        """Whether this is ordinary batch normalization."""
        return self.recenter and self.rescale and self.scale == "std"

    @property
    def scales_by_std(self) -> bool:
        """Whether it divides by the standard deviation, which depends on the mean of the input."""
        return self.rescale and self.scale == "std"

    @property
    def statistics(self) -> tuple[StatisticName, ...]:
        """Names of the running statistics that evaluation uses, in the order of a state dict."""
        names: list[StatisticName] = []
        if self.recenter:
            names.append("running_mean")
        if self.rescale:
            names.append("running_var" if self.scale == "std" else "running_mean_square")
        return tuple(names)


def make_switches(recenter: bool, rescale: bool, scale: Scale) -> Switches:
    """Resolve ``"auto"`` and check the word.

    Raises:
        ValueError: if ``scale`` is none of ``"auto"``, ``"std"``, ``"rms"``.
    """
    if scale not in get_args(Scale):
        raise ValueError(f"scale must be 'auto', 'std' or 'rms', got {scale!r}")
    if scale == "auto":
        scale = "std" if recenter else "rms"
    return Switches(bool(recenter), bool(rescale), scale)
