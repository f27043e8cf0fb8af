"""Claims of the sequel of "Batch Normalization Explained" (Riedi, Balestriero, Baraniuk; PMLR 334, 2026).

What a layer of random weights separates when its hyperplanes go through the mean of the batch. All sizes are ours.
"""

from __future__ import annotations

from typing import Final

from normscope.claims.claim import Claim
from normscope.claims.riedi2026.balls import BALLS, BALLS_AS_STATED
from normscope.claims.riedi2026.bounded import BOUNDED
from normscope.claims.riedi2026.separation import ANGLE, CLUSTERS

CLAIMS: Final[tuple[Claim, ...]] = (ANGLE, CLUSTERS, BALLS, BALLS_AS_STATED, BOUNDED)
"""In the order in which they are told."""
