"""Claims of "Understanding Batch Normalization" (Bjorck, Gomes, Selman, Weinberger; NeurIPS 2018, arXiv 1806.02375).

What it finds at initialization and in the first steps of training, and which half of batch norm does it. The images are
handwritten digits; at scale "paper" they are CIFAR-10, which must be on the disk.
"""

from __future__ import annotations

from typing import Final

from normscope.claims.bjorck2018.channels import CHANNELS
from normscope.claims.bjorck2018.decomposed import CHANNELS as DECOMPOSED_CHANNELS
from normscope.claims.bjorck2018.decomposed import CLASSES as DECOMPOSED_CLASSES
from normscope.claims.bjorck2018.decomposed import EITHER
from normscope.claims.bjorck2018.decomposed import GRADIENTS as DECOMPOSED_GRADIENTS
from normscope.claims.bjorck2018.gradient_growth import GROWTH
from normscope.claims.bjorck2018.histogram import HISTOGRAM
from normscope.claims.bjorck2018.kernel_gradients import NORMALIZED, UNNORMALIZED
from normscope.claims.bjorck2018.outputs import CLASSES, PAIRS
from normscope.claims.bjorck2018.products import PRODUCTS
from normscope.claims.bjorck2018.sgd_noise import NOISE
from normscope.claims.bjorck2018.steps import START, STEPS, UPDATE
from normscope.claims.claim import Claim

CLAIMS: Final[tuple[Claim, ...]] = (
    HISTOGRAM,
    STEPS,
    START,
    UPDATE,
    CHANNELS,
    CLASSES,
    PAIRS,
    NORMALIZED,
    UNNORMALIZED,
    NOISE,
    PRODUCTS,
    DECOMPOSED_GRADIENTS,
    EITHER,
    DECOMPOSED_CHANNELS,
    DECOMPOSED_CLASSES,
    GROWTH,
)
"""In the order in which they are told: the paper's figures, its table, its laws, and what is ours."""
