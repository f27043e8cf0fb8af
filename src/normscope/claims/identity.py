"""What makes a run of a claim the same run: its seed, its code, its parameters."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from normscope.claims.claim import Claim, Scale
from normscope.claims.sources import source_hash

_PACKAGES: Final = ("normscope", "torch", "numpy", "scipy", "scikit-learn", "pandas")  # numbers come out of these
_SEEDS = 2**32


def claim_seed(seed: int, claim: str) -> int:
    """The seed of one claim, from that of the whole run: independent of which other claims run, and in which order."""
    return int.from_bytes(hashlib.sha256(f"{seed} {claim}".encode()).digest()[:4], "big")


def require_seed(seed: int) -> None:
    """Check the seed of a run.

    Raises:
        ValueError: it has not 32 bits.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _SEEDS:
        raise ValueError(f"seed {seed!r}: a seed is a whole number from 0 to 2³² − 1")


def run_key(claim: Claim, scale: Scale, seed: int) -> str:
    """Names one run: two of the same key give the same numbers, on one machine.

    It changes with the id, the scale and its sizes, the seed, the criterion, the source behind it (`source_hash`), and
    the versions of Python and of the libraries that numbers come out of.
    """
    observation = claim.observation
    told = {
        "id": claim.id,
        "observation": None if observation is None else observation.name,
        "scale": scale,
        "sizes": claim.sizes[scale],
        "seed": seed,
        "criterion": str(claim.criterion),
        "source": source_hash((claim.measure, claim.criterion.judge, *([observation.observe] if observation else []))),
        "versions": versions(),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=repr).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Of Python, normscope and the libraries that numbers come out of."""
    return {"python": platform.python_version(), **_installed()}


@cache
def _installed() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a source tree that was never installed
            found[name] = "0+unknown"
    return found
