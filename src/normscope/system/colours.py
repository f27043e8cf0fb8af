"""Colours of figures: those of Okabe and Ito (2008), which also the colour-blind tell apart."""

from __future__ import annotations

from typing import Final

BLACK: Final = "#000000"
ORANGE: Final = "#E69F00"
SKY: Final = "#56B4E9"
GREEN: Final = "#009E73"
BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"

CYCLE: Final = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""In the order in which a figure of several curves takes them."""
