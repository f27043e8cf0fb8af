"""Claims of "On the Impact of Activation and Normalization in Obtaining Isometric Embeddings at Initialization"."""

from __future__ import annotations

from typing import Final

from normscope.claims.joudaki2023.isometry import BOUND, DECAY
from normscope.claims.joudaki2023.normalization import NORMALIZATION
from normscope.claims.joudaki2023.strength import STRENGTH

CLAIMS: Final = (BOUND, DECAY, STRENGTH, NORMALIZATION)
