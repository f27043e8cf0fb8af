"""Colours of layers, classes and counts, the same in figures and on pages."""

from __future__ import annotations

from typing import Final

import numpy as np

from normscope.system import BLUE, CYCLE, GREEN, ORANGE, PURPLE, SKY, VERMILLION

_LAYERS: Final = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
# Paul Tol's muted scheme: ten classes that are told apart with any colour vision
_MUTED: Final = (
    "#332288", "#DDCC77", "#117733", "#CC6677", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499", "#BBBBBB",
)  # fmt: skip
_VIRIDIS: Final = (
    "#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725",
)  # fmt: skip


def layer_colours(count: int) -> list[str]:
    """One colour a layer, as #rrggbb: told apart where there are few, from dark to light where there are many."""
    return list(_LAYERS[:count]) if count <= len(_LAYERS) else viridis(np.linspace(0, 0.75, count))


def class_colours(count: int) -> list[str]:
    """One colour a class, as #rrggbb."""
    if count > len(_MUTED):
        return viridis(np.linspace(0, 1, count))
    return list(CYCLE[:count] if count < len(CYCLE) else _MUTED[:count])


def viridis(places: np.ndarray) -> list[str]:
    """Colours between dark violet at 0 and yellow at 1, as #rrggbb; even steps look even."""
    stops = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in _VIRIDIS])
    at = np.linspace(0, 1, len(stops))
    channels = [np.rint(np.interp(places, at, channel)).astype(int) for channel in stops.T]
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in zip(*channels, strict=True)]


def pale(colour: str, white: float = 0.6) -> str:
    """The colour mixed with so much white."""
    channels = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round(value + (255 - value) * white):02x}" for value in channels)
