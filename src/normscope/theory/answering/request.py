"""What ``normscope theory`` is asked, and its answers: as text, LaTeX, JSON and a figure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from normscope.theory.activations.kernel import Array
from normscope.theory.answering.answers import answer_latex, answer_text, basin_text, phase_latex, phase_text
from normscope.theory.answering.question import Question, known_activation, layer_name, plain
from normscope.theory.phases.basins import Basins
from normscope.theory.phases.basins import basins as basins_of
from normscope.theory.phases.phase import COMBINATIONS, SIZES, phase_diagram
from normscope.theory.phases.transitions import Transition, transitions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Progress = Callable[[float, float, str], None]

FORMATS = (".png", ".svg", ".pdf")
_SETTINGS, _TRANSITIONS = 0.6, 0.4  # of the time of a phase diagram


def parse_sizes(text: str | None) -> tuple[int, ...] | None:
    """Such as "4,28".

    Raises:
        ValueError: not whole numbers with commas.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--sizes are whole numbers with commas, such as 4,28, got {text!r}") from None


class Answer(ABC):
    """What was found out."""

    @abstractmethod
    def text(self, width: int) -> list[str]:
        """Lines for a terminal of so many columns."""

    @abstractmethod
    def latex(self) -> list[str]:
        """Lines of a table for a paper; it needs the package booktabs."""

    @abstractmethod
    def numbers(self) -> dict[str, Any]:
        """What JSON holds."""

    @abstractmethod
    def figure(self) -> Figure:
        """A new figure.

        Raises:
            ImportError: matplotlib is not there; the message says how to get it.
        """


@dataclass(frozen=True)
class FixedPoints(Answer):
    """Those of one layer and batch size."""

    question: Question
    basins: Basins | None = None
    law: str = ""

    def text(self, width: int) -> list[str]:
        """See `Answer`."""
        shares = [] if self.basins is None else ["", *basin_text(self.basins, self.law, width)]
        return [*answer_text(self.question, width), *shares]

    def latex(self) -> list[str]:
        """See `Answer`."""
        return answer_latex(self.question)

    def numbers(self) -> dict[str, Any]:
        """See `Answer`."""
        told = self.question.to_dict()
        if self.basins is not None:
            told["basins"] = {"batches": self.law, "shares": plain(self.basins.table().to_dict("records"))}
        return dict(plain(told))

    def figure(self) -> Figure:
        """See `Answer`."""
        from matplotlib.figure import Figure

        from normscope.theory.phases.figures import plot_fixed_points

        axis = plot_fixed_points(self.question.fixed_points)
        axis.set_title(f"Fixed points of {self.question.title}", fontsize="medium")
        assert isinstance(axis.figure, Figure)  # made for it, no part of another
        return axis.figure


@dataclass(frozen=True)
class Phases(Answer):
    """A phase diagram and what changes in it."""

    diagram: pd.DataFrame
    found: list[tuple[str, Transition]]

    def text(self, width: int) -> list[str]:
        """See `Answer`."""
        return phase_text(self.diagram, self.found, width)

    def latex(self) -> list[str]:
        """See `Answer`."""
        return phase_latex(self.diagram, self.found)

    def numbers(self) -> dict[str, Any]:
        """See `Answer`."""
        changes = [{"layer": name, **transition.to_dict()} for name, transition in self.found]
        return {"fixed_points": plain(self.diagram.to_dict("records")), "transitions": plain(changes)}

    def figure(self) -> Figure:
        """See `Answer`."""
        from normscope.theory.phases.figures import plot_phases

        return plot_phases(self.diagram, self.found)


@dataclass(frozen=True)
class Request:
    """The options of the command."""

    n: int = 32
    recenter: bool = True
    rescale: bool = True
    activation: str = "relu"
    slope: float | None = None
    sizes: tuple[int, ...] | None = None
    phase: bool = False

    @cached_property
    def question(self) -> Question:
        """The question about one batch size.

        Raises:
            ValueError: as `Question`.
        """
        return Question(self.n, self.recenter, self.rescale, self.activation, self.slope, self.sizes)

    def answer(self, progress: Progress, grams: Array | None = None, law: str = "") -> Answer:
        """Find out.

        Args:
            progress: called with (work done, all work, what is running).
            grams: (batches, n, n), whose basins are counted.
            law: where these come from.

        Raises:
            ValueError: the question makes no sense; the message says why.
        """
        if self.phase:
            return self._phases(progress)
        question = self.question
        progress(0, 1, "fixed points")
        if grams is None:
            _ = question.fixed_points
            return FixedPoints(question)
        counted = basins_of(question.layer, grams, progress=lambda done, depth: progress(done, depth, "batches"))
        return FixedPoints(question, counted, law)

    def _phases(self, progress: Progress) -> Phases:
        phi = known_activation(self.activation, self.slope)
        diagram = phase_diagram(
            SIZES,
            COMBINATIONS,
            [phi],
            progress=lambda done, total, at: progress(_SETTINGS * done, total, f"n = {at.n}"),
        )
        found: list[tuple[str, Transition]] = []
        searched = [(rc, rs) for rc, rs in COMBINATIONS if not (rs and phi.degree is None)]
        for i, (recenter, rescale) in enumerate(searched):
            name = layer_name(recenter, rescale, phi.name)
            progress(_SETTINGS + _TRANSITIONS * i / len(searched), 1, "transitions")
            found += [(name, t) for t in transitions(recenter, rescale, phi, high=float(max(SIZES)))]
        return Phases(diagram, found)
