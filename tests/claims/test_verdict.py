"""One claim in this process, what becomes of it, and its JSON."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from normscope.claims import Claim, Verdict, exit_code, sources
from normscope.claims.execution import execute
from normscope.claims.identity import claim_seed, run_key
from reference import toy_claims as toys

HOLDS = execute(toys.HOLDS, "quick", 0).verdict


@pytest.mark.parametrize(
    ("claim", "status", "reason"),
    [
        (toys.HOLDS, "reproduced", ""),
        (toys.SURE, "reproduced", ""),
        (toys.FAILS, "not reproduced", "but expected −0.3 to 0.3"),
        (toys.OPEN, "not reproduced", "not shown to lie in −0.3 to 0.3"),
        (toys.RAISES, "could not run", r"KeyError: 'no such\nlayer'"),
        (toys.NEEDS, "needs more than this machine", "needs a GPU: give one"),
        (toys.MEMORY, "needs more than this machine", "lower the width"),
    ],
)
def test_every_end_is_a_verdict(claim: Claim, status: str, reason: str) -> None:
    verdict = execute(claim, "quick", 0).verdict
    assert verdict.status == status
    assert reason in verdict.reason
    assert "\n" not in verdict.reason
    assert (verdict.measurement is not None) == verdict.ran == bool(verdict.parts)
    assert verdict.seconds >= 0
    assert verdict.reproduced == (status == "reproduced")


def test_a_judge_that_fails_leaves_the_numbers() -> None:
    broken = replace(toys.HOLDS, criterion=replace(toys.MEAN, parts=2))
    done = execute(broken, "quick", 0)
    assert done.verdict.status == "could not run"
    assert "the criterion is for 2 parts" in done.verdict.reason
    assert done.measurement is not None


def test_the_seed_is_the_claims_own() -> None:
    seeds = {claim_seed(seed, name) for seed in range(50) for name in ("a.b", "a.c", "1 a.b")}
    assert len(seeds) == 150
    assert all(0 <= seed < 2**32 for seed in seeds)
    expected = toys.measure_normal(seed=claim_seed(0, "toy2026.holds"), samples=400)
    assert HOLDS.measurement.table.equals(expected.table)
    assert execute(toys.HOLDS, "quick", 1).verdict.measured != HOLDS.measured


def test_a_smaller_run_says_in_what() -> None:
    assert HOLDS.reduced == "samples 400 (largest scale 1000)"
    assert execute(toys.HOLDS, "paper", 0).verdict.reduced == ""
    assert HOLDS.command == "normscope verify toy2026.holds --scale quick --seed 0"


@pytest.mark.parametrize("claim", toys.EVERY[:7], ids=lambda claim: claim.id)
def test_verdicts_come_back_from_strict_json(claim: Claim) -> None:
    verdict = execute(claim, "full", 3).verdict
    told = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    back = Verdict.from_json(told, verdict.measurement)
    assert back == verdict
    assert back.measurement is verdict.measurement


def test_the_form_of_the_json_is_fixed() -> None:
    """Scripts read it: a changed name is a new version."""
    told = HOLDS.to_json()
    assert set(told) == {"format", "version"} | {f.name for f in fields(Verdict)} - {"measurement"}
    assert (told["format"], told["version"]) == ("normscope verdict", 1)
    assert set(told["parts"][0]) == {"name", "measured", "expected", "holds"}
    assert set(told["parts"][0]["measured"]) == {"value", "low", "high", "confidence"}
    assert set(told["parts"][0]["expected"]) == {"low", "high", "text"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "normscope trace"}, "this is no verdict"),
        ({"version": 99}, "from a newer normscope .format 99, this one reads 1.: upgrade"),
        ({"status": None}, "the verdict is incomplete: status is missing"),
    ],
)
def test_json_of_something_else_is_told(changes: dict[str, object], message: str) -> None:
    told = {name: value for name, value in (HOLDS.to_json() | changes).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        Verdict.from_json(told)


GOOD, BAD, MORE, BROKEN = "reproduced", "not reproduced", "needs more than this machine", "could not run"


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([GOOD, GOOD], 0),
        ([GOOD, MORE], 0),
        ([GOOD, BAD], 1),
        ([BAD, MORE], 1),
        ([GOOD, BROKEN], 2),
        ([BAD, BROKEN], 2),
        ([MORE, MORE], 2),
        ([MORE, BROKEN], 2),
    ],
)
def test_the_exit_code_is_the_worst_that_happened(statuses: list[str], code: int) -> None:
    assert exit_code([replace(HOLDS, status=status) for status in statuses]) == code


def test_a_run_is_named_by_all_that_decides_its_numbers() -> None:
    claim = toys.HOLDS
    sizes = {**claim.sizes, "quick": {"samples": 401}}
    changed = [
        run_key(claim, "full", 0), run_key(claim, "quick", 1), run_key(replace(claim, id="toy2026.other"), "quick", 0),
        run_key(replace(claim, sizes=sizes), "quick", 0),
        run_key(replace(claim, criterion=replace(toys.MEAN, limits={"margin": 0.2})), "quick", 0),
    ]  # fmt: skip
    assert len({run_key(claim, "quick", 0), *changed}) == 6
    # what is only said of it decides nothing
    assert run_key(replace(claim, statement="Toys.", seconds=claim.seconds), "quick", 0) == HOLDS.key


def test_the_source_is_what_a_claim_imports_and_no_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a small house of its own: two papers, one of which uses a module of the other's."""
    house = {
        "claims/identity.py": "", "claims/execution.py": "", "claims/statistics.py": "", "claims/runner.py": "",
        "claims/colours.py": "", "measure/gram.py": "", "cli/app.py": "", "claims/unused.py": "",
        "claims/first/__init__.py": "from normscope.claims.first.one import measure",
        "claims/first/one.py": "from normscope.claims.first import deep\ndef measure(): pass",
        "claims/first/deep.py": "def later():\n    from normscope.claims.statistics import mean",
        "claims/second.py": "import normscope.claims.first.deep\nfrom normscope.claims import colours\n",
    }  # fmt: skip
    for name, text in house.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sources, "_ROOT", tmp_path)

    def hash_of(name: str) -> str:
        for cached in (sources._imported, sources._rooms_hash):
            cached.cache_clear()
        monkeypatch.setattr(sources.inspect, "getsourcefile", lambda _: str(tmp_path / name))
        return sources.source_hash([len])

    def changes(name: str) -> set[str]:
        before, found = hash_of(name), set()
        for other, text in house.items():
            (tmp_path / other).write_text(text + "\n# changed")
            found |= {other} if hash_of(name) != before else set()
            (tmp_path / other).write_text(text)
        return found

    always = {"claims/identity.py", "claims/execution.py", "measure/gram.py"}
    deep = {"claims/first/deep.py", "claims/statistics.py"}
    try:
        assert changes("claims/first/one.py") == always | deep | {"claims/first/one.py", "claims/first/__init__.py"}
        assert changes("claims/second.py") == always | deep | {"claims/second.py", "claims/colours.py"}
    finally:
        for cached in (sources._imported, sources._rooms_hash):
            cached.cache_clear()
