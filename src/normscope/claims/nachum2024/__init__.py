"""Claims of "Batch Normalization Decomposed" (Nachum, Bondaschi, Gastpar, Khina; arXiv 2412.02843).

Its statements, and how far they reach. We know the paper's statements, not the sizes of its experiments: the scale
"paper" is ours, at widths and depths beyond which we expect nothing new.
"""

from __future__ import annotations

from typing import Final

from normscope.claims.claim import Claim
from normscope.claims.nachum2024.breakaway import BREAKAWAY_BATCH, BREAKAWAY_WIDTH
from normscope.claims.nachum2024.combinations import COMBINATIONS, FULL_NORM
from normscope.claims.nachum2024.emergence import CLUSTER_SHAPE, ODD_POINT, ODD_POINT_DIGITS
from normscope.claims.nachum2024.phase import PHASE
from normscope.claims.nachum2024.prediction import WHICH_POINT
from normscope.claims.nachum2024.reach import ACTIVATIONS, CONVOLUTION, SHORTCUTS
from normscope.claims.nachum2024.shape import SHAPE_THEORY
from normscope.claims.nachum2024.single_layer import INVARIANCE, RANK_GROWTH
from normscope.claims.nachum2024.spectra import SPECTRA
from normscope.claims.nachum2024.stability import IDEAL_ATTRACTS, LASTING_RATE, SAME_ODD_POINT
from normscope.claims.nachum2024.training import FIRST_STEPS
from normscope.claims.nachum2024.two_stages import TWO_STAGES

CLAIMS: Final[tuple[Claim, ...]] = (
    ODD_POINT,
    ODD_POINT_DIGITS,
    TWO_STAGES,
    CLUSTER_SHAPE,
    SHAPE_THEORY,
    SPECTRA,
    PHASE,
    IDEAL_ATTRACTS,
    SAME_ODD_POINT,
    LASTING_RATE,
    RANK_GROWTH,
    INVARIANCE,
    COMBINATIONS,
    FULL_NORM,
    BREAKAWAY_WIDTH,
    BREAKAWAY_BATCH,
    WHICH_POINT,
    ACTIVATIONS,
    CONVOLUTION,
    SHORTCUTS,
    FIRST_STEPS,
)
"""In the order in which they are told."""
