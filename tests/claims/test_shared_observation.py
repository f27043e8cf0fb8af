"""Claims of one observation: it is made once for all, and each of them comes out as if it ran alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from normscope.claims import Claim, Observation, Verdict, all_claims, verify
from normscope.claims.execution import execute, execute_together
from normscope.claims.identity import claim_seed, run_key
from reference import observed_claims as toys
from reference import toy_claims


def times(log: Path) -> int:
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


def plain(verdict: Verdict) -> Verdict:
    return replace(verdict, seconds=0.0)


def test_it_is_made_once_and_each_claim_has_its_own_verdict(tmp_path: Path) -> None:
    log = tmp_path / "log"
    claims = [*toys.family(log=str(log)), toy_claims.SURE]
    verdicts = verify(claims, jobs=2, output=tmp_path / "out")
    assert times(log) == 1
    assert [v.id for v in verdicts] == [c.id for c in claims]
    assert [v.status for v in verdicts] == ["reproduced", "reproduced", "could not run", "reproduced"]
    assert verdicts[2].reason.startswith("KeyError: ")
    drawn = np.random.default_rng(claim_seed(0, "toy2026.drawn")).normal(0, 1, 400)
    found = [verdict.measurement.table["value"] for verdict in verdicts[:2]]
    assert np.array_equal(np.concatenate(found), drawn)


def test_alone_together_and_in_this_process_are_the_same(tmp_path: Path) -> None:
    claims = toys.family()
    together = verify(claims)
    alone = [verify(claim)[0] for claim in claims]
    here = [done.verdict for done in execute_together(claims, "quick", 0)]
    single = [execute(claim, "quick", 0).verdict for claim in claims]
    for verdicts in (alone, here, single):
        assert list(map(plain, verdicts)) == list(map(plain, together))


def test_what_is_kept_is_not_observed_again(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    first, second, _ = toys.family(log=str(log))
    verify(first, output=out)
    told: list[tuple[float, float, str]] = []
    verify([first, second], output=out, progress=lambda *now: told.append(now))
    assert times(log) == 2
    assert told[-1][0] == told[-1][1]
    verify([first, second], output=out)
    assert times(log) == 2


def test_other_sizes_are_another_observation(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first, second, _ = toys.family(log=str(log))
    smaller = {scale: {**sizes, "samples": 300} for scale, sizes in second.sizes.items()}
    verdicts = verify([first, replace(second, sizes=smaller)], jobs=1)
    assert times(log) == 2
    assert [len(v.measurement.table) for v in verdicts] == [200, 150]


@pytest.mark.parametrize(
    ("observe", "status", "reason"),
    [
        (toys.observe_more, "needs more than this machine", "CIFAR-10 is not on this machine"),
        (toys.observe_badly, "could not run", "ZeroDivisionError: no such network"),
        (toys.crash, "could not run", "its process was ended by SIGKILL"),
    ],
)
def test_an_observation_that_fails_is_told_by_every_claim(observe: object, status: str, reason: str) -> None:
    claims = [replace(c, observation=Observation("toy2026.bad", observe)) for c in toys.family()]
    verdicts = verify(claims)
    assert [verdict.status for verdict in verdicts] == [status] * 3
    assert all(verdict.reason.startswith(reason) for verdict in verdicts)


def test_the_progress_names_the_observation_and_counts_it_once() -> None:
    told: list[tuple[float, float, str]] = []
    verify([*toys.family(), toy_claims.SURE], jobs=1, progress=lambda *now: told.append(now))
    assert told[-1] == (2.0, 2.0, "claims")
    assert any("toy2026.drawn" in now[2] for now in told)


def test_a_run_is_told_apart_by_its_observation() -> None:
    claim = toys.family()[0]
    others = [
        replace(claim, observation=Observation("toy2026.other", toys.observe)),
        replace(toy_claims.HOLDS, id=claim.id),
    ]
    assert len({run_key(c, "quick", 0) for c in [claim, *others]}) == 3


def test_claims_of_one_observation_have_its_sizes_in_common() -> None:
    """Or else it would be made several times."""
    by_observation: dict[Observation, list[Claim]] = {}
    for claim in all_claims():
        if claim.observation is not None:
            by_observation.setdefault(claim.observation, []).append(claim)
    for claims in by_observation.values():
        assert all(claim.sizes == claims[0].sizes and claim.seconds == claims[0].seconds for claim in claims)
    assert len({shared.name for shared in by_observation}) == len(by_observation)
