"""Claims of "Batch Normalization Explained" (Balestriero, Baraniuk; arXiv 2209.14778).

Where the statistics of batch norm place the folds of a network, at initialization. We know the paper's statements, not
the sizes of its experiments: all sizes are ours.
"""

from __future__ import annotations

from typing import Final

from normscope.claims.balestriero2022.balls import BALLS, BALLS_ELSEWHERE
from normscope.claims.balestriero2022.deep_slice import SLICE
from normscope.claims.balestriero2022.halves import DENSITY, DRAWS, FOLDS
from normscope.claims.balestriero2022.least_squares import LEARNED, LEAST_SQUARES
from normscope.claims.balestriero2022.picture import PICTURE
from normscope.claims.balestriero2022.turning import TURNING
from normscope.claims.claim import Claim

CLAIMS: Final[tuple[Claim, ...]] = (
    LEAST_SQUARES,
    LEARNED,
    PICTURE,
    DENSITY,
    SLICE,
    BALLS,
    BALLS_ELSEWHERE,
    TURNING,
    DRAWS,
    FOLDS,
)
"""In the order in which they are told."""
