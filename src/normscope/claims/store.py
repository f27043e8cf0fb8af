"""Verdicts on the disk: every finished claim is kept at once, so that an interrupted run loses nothing.

``<folder>/<scale>/<id>/`` holds ``numbers.json``, ``numbers.parquet``, ``figure.png``, ``figure.svg`` and, written
last, ``verdict.json``: where it stands, the others are whole and belong to it.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from normscope.claims.claim import SCALES, Claim, Scale
from normscope.claims.drawing import Figures, can_draw, draw
from normscope.claims.execution import Done
from normscope.claims.identity import run_key
from normscope.claims.measurement import Measurement
from normscope.claims.verdict import Verdict
from normscope.loading import LoadingError, reading
from normscope.system import ensure_writable, written_whole

VERDICT: Final = "verdict.json"
NUMBERS: Final = "numbers"
FIGURE: Final = "figure"
_PARQUET: Final = f"{NUMBERS}.parquet"
_DRAWN: Final = (f"{FIGURE}.png", f"{FIGURE}.svg")
_KINDS: Final = (f"{NUMBERS}.json", _PARQUET, *_DRAWN)


class Store:
    """A folder of verdicts.

    Args:
        folder: made if it is not there.

    Raises:
        OSError: it cannot be made or written; the message says why.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(f"cannot write {folder}: it is a file; name a folder") from None
        except OSError as error:
            raise type(error)(f"cannot make the folder {folder}: {error.strerror}") from None
        ensure_writable(self.folder / VERDICT)

    def place(self, claim: str, scale: Scale) -> Path:
        """Where the files of one claim at one scale are."""
        return self.folder / scale / claim

    def find(self, claim: Claim, scale: Scale, seed: int) -> Verdict | None:
        """The verdict of an earlier run that was the same in all that matters; None if there is none that ran.

        A claim that needed more, or could not run, is tried again. So is one whose file is damaged.
        """
        try:
            verdict = read_verdict(self.place(claim.id, scale))
        except (LoadingError, FileNotFoundError):
            return None
        return verdict if verdict.ran and verdict.key == run_key(claim, scale, seed) else None

    def keep(self, done: Done) -> None:
        """Write what a claim gave; the verdict last.

        Raises:
            OSError: it cannot be written.
        """
        place = self.place(done.verdict.id, done.verdict.scale)
        place.mkdir(parents=True, exist_ok=True)
        for name in (VERDICT, *_KINDS):  # the verdict first: what follows no longer belongs to it
            (place / name).unlink(missing_ok=True)
        for name, content in (*_numbers(done.measurement), *_figures(done.figures)):
            _write(place / name, content)
        _write(place / VERDICT, _json(done.verdict.to_json()))

    def complete(self, claim: Claim, verdict: Verdict) -> None:
        """Add to a kept verdict the files that its run could not make, as an optional extra was missing then.

        They are made from the kept numbers; nothing is measured again. A figure that cannot be drawn stays away.

        Raises:
            OSError: a file cannot be written.
        """
        place, measurement = self.place(verdict.id, verdict.scale), verdict.measurement
        if measurement is None:
            return
        made: Iterable[tuple[str, bytes]] = ()
        if not (place / _PARQUET).is_file():
            made = ((name, content) for name, content in _numbers(measurement) if name == _PARQUET)
        figures: Figures = {}
        if claim.figure is not None and can_draw() and not all((place / name).is_file() for name in _DRAWN):
            with suppress(Exception):  # of a drawing function anything
                figures = draw(claim, measurement, verdict.scale)
        for name, content in (*made, *_figures(figures)):
            _write(place / name, content)

    def figure(self, verdict: Verdict, kind: str = "svg") -> bytes | None:
        """The figure of a verdict; None if it has none."""
        return read_figure(self.folder, verdict, kind)


def can_write_parquet() -> bool:
    """Whether pyarrow is there: the optional extra ``parquet``."""
    return importlib.util.find_spec("pyarrow") is not None


def read_verdicts(folder: str | os.PathLike[str]) -> list[Verdict]:
    """The verdicts in a folder, by id: of each claim the one at the largest scale.

    Raises:
        LoadingError: there is no such folder, it holds no verdict, or one is damaged; says which.
    """
    root = Path(folder)
    if not root.is_dir():
        raise LoadingError(f"{root} is no folder: name one that normscope verify --output wrote")
    found: dict[str, Verdict] = {}
    for scale in SCALES:
        for file in sorted((root / scale).glob(f"*/{VERDICT}")):
            verdict = read_verdict(file.parent)
            found[verdict.id] = verdict
    if not found:
        raise LoadingError(f"{root} holds no verdicts: name a folder that normscope verify --output wrote")
    return [found[name] for name in sorted(found)]


def read_verdict(place: Path) -> Verdict:
    """The verdict in the folder of one claim, with its numbers if they are there.

    Raises:
        FileNotFoundError: there is none.
        LoadingError: a file is damaged or of something else.
    """
    file, numbers = place / VERDICT, place / f"{NUMBERS}.json"
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}")
    measurement = None
    if numbers.is_file():
        with reading(numbers):
            measurement = Measurement.from_json(json.loads(numbers.read_bytes()))
    with reading(file):
        verdict = Verdict.from_json(json.loads(file.read_bytes()), measurement)
        if (verdict.scale, verdict.id) != (place.parent.name, place.name):  # they lead to the other files
            raise ValueError(f"it is of {verdict.id} at {verdict.scale} scale")
        return verdict


def read_figure(folder: str | os.PathLike[str], verdict: Verdict, kind: str = "svg") -> bytes | None:
    """The figure of a verdict in a folder; None if it has none."""
    file = Path(folder) / verdict.scale / verdict.id / f"{FIGURE}.{kind}"
    return file.read_bytes() if file.is_file() else None


def _numbers(measurement: Measurement | None) -> list[tuple[str, bytes]]:
    if measurement is None:
        return []
    files = [(f"{NUMBERS}.json", _json(measurement.to_json()))]
    if can_write_parquet() and len(measurement.table.columns):
        buffer = io.BytesIO()
        measurement.table.to_parquet(buffer, engine="pyarrow", index=False)
        files.append((_PARQUET, buffer.getvalue()))
    return files


def _figures(figures: Figures) -> list[tuple[str, bytes]]:
    return [(f"{FIGURE}.{kind}", content) for kind, content in figures.items()]


def _json(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, allow_nan=False, indent=1, ensure_ascii=False).encode()


def _write(file: Path, content: bytes) -> None:
    with written_whole(file) as opened:
        opened.write(content)
