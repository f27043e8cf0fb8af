"""The parts of batch normalization that a user leaves on: their words, their switches, their names for readers."""

from __future__ import annotations

from typing import Final

SWITCHES: Final = {"none": (False, False), "recenter": (True, False), "rescale": (False, True), "batch": (True, True)}
"""(recenter, rescale) of each word of ``--norm`` and ``--compare``."""
NAMES: Final = {"batch": "Batch norm", "recenter": "Recenter only", "rescale": "Rescale only", "none": "No norm"}
