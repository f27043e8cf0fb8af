"""The claims of the papers as checks that anyone can run: how each is measured, and a criterion fixed before."""

from __future__ import annotations

from normscope.claims.claim import SCALES, Claim, Criterion, NeedsMore, Observation, Paper, Scale
from normscope.claims.drawing import can_draw
from normscope.claims.estimate import Estimate
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Expected, Part
from normscope.claims.registry import UnknownClaim, all_claims, select
from normscope.claims.runner import verify
from normscope.claims.store import Store, can_write_parquet, read_figure, read_verdicts
from normscope.claims.verdict import STATUSES, Status, Verdict, exit_code

__all__ = [
    "SCALES",
    "STATUSES",
    "Claim",
    "Criterion",
    "Estimate",
    "Expected",
    "Measurement",
    "NeedsMore",
    "Observation",
    "Paper",
    "Part",
    "Scale",
    "Status",
    "Store",
    "UnknownClaim",
    "Verdict",
    "all_claims",
    "can_draw",
    "can_write_parquet",
    "exit_code",
    "read_figure",
    "read_verdicts",
    "select",
    "verify",
]
