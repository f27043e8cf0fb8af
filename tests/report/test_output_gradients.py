"""What a reader is told of the gradient by the outputs: the numbers, and what to expect of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from rich.cells import cell_len

from normscope import measure
from normscope.report import Inspected, Network, inspected_numbers, render_trace, standouts, terminal_lines
from normscope.report.inspection.output_gradients import output_meanings, output_rows, prediction
from normscope.tracing import Trace, trace

Made = Callable[..., Trace]
NUMBERS = {
    "images": 16, "classes": 10, "largest_class": 3, "largest_share": 0.97, "positive_share": 0.625,
    "cosine": 0.987, "correlation": float("nan"), "rank_one_energy": 0.5,
    "predicted_class": 3, "predicted_share": 0.95, "label_share": 0.125,
}  # fmt: skip


def measured(logits: torch.Tensor) -> measure.OutputGradients:
    """Of cross-entropy with balanced labels."""
    n, classes = logits.shape
    labels = torch.arange(n) % classes
    gradient = (logits.softmax(1) - torch.nn.functional.one_hot(labels, classes)) / n
    return measure.output_gradients(gradient, labels)


@pytest.fixture
def classifier(made: Made) -> Trace:
    return dataclasses.replace(made(kernel_gradient_ratio=[5.0, *[float("nan")] * 11]), output_gradients=NUMBERS)


@pytest.mark.parametrize("classes", [5, 10, 23])
def test_what_is_to_be_expected_is_what_such_networks_have(made: Made, classes: int) -> None:
    trace = dataclasses.replace(made(), output_gradients={**NUMBERS, "classes": classes})
    meanings = output_meanings([trace])
    certain = torch.zeros(8 * classes, classes, dtype=torch.float64)
    certain[:, 2] = 40.0
    even, one = measured(torch.zeros_like(certain)), measured(certain)
    of_even, of_one = (f"{found.rank_one_energy.item():.0%}" for found in (even, one))
    assert f"{of_even} (1/{classes - 1}): all classes are as likely" in meanings["rank_one_energy"]
    assert f"; {of_one}: one class is predicted with certainty" in meanings["rank_one_energy"]
    assert f"{even.positive_share.item():.0%} (1/{classes}): it is spread evenly" in meanings["positive_share"]
    assert (one.largest_share, one.positive_share) == pytest.approx((1, 1))
    generator = torch.Generator().manual_seed(0)
    images = 40 * classes
    independent = measured(torch.randn(images, classes, generator=generator, dtype=torch.float64))
    assert f"about {1 / (classes - 1):.0%} (1/{classes - 1}): none is" in meanings["largest_share"]
    # four standard deviations: of the largest of K counts, whose mean is at least 1/(K − 1); and of the mean over
    # pairs of correlations of K − 2 numbers, each of variance 1/(K − 3)
    share = 1 / (classes - 1)
    assert share <= independent.largest_share < share + 4 * (share / (40 * (classes - 1))) ** 0.5
    assert abs(independent.correlation) < 4 * (2 / (classes - 3)) ** 0.5 / images


def test_rows_hold_the_numbers_of_each_network(made: Made, classifier: Trace) -> None:
    rows = output_rows([classifier, made()])
    assert [row.title for row in rows] == [
        "Most predicted class", "Largest wrong class", "Weight of one class", "Mean cosine", "Mean correlation",
        "Rank-one energy",
    ]  # fmt: skip
    assert [row.values for row in rows] == [
        ("95% (class 3)", "–"), ("97% (class 3)", "–"), ("62%", "–"), ("0.99", "–"), ("–", "–"), ("50%", "–"),
    ]  # fmt: skip
    assert output_rows([made()]) == []


def test_a_file_of_before_it_was_measured_tells_nothing_of_what_is_predicted(classifier: Trace) -> None:
    known = {key: value for key, value in NUMBERS.items() if key not in ("predicted_class", "predicted_share")}
    old = dataclasses.replace(classifier, output_gradients=known)
    assert prediction(old) is None
    assert [row.values for row in output_rows([old])][:2] == [("–",), ("97% (class 3)",)]
    assert standouts(old)[0].startswith("Nothing stands out")


def test_of_different_numbers_of_classes_the_letter_is_told(classifier: Trace) -> None:
    other = dataclasses.replace(classifier, output_gradients={**NUMBERS, "classes": 7})
    assert "1/(K − 1): all classes" in output_meanings([classifier, other])["rank_one_energy"]
    assert "11% (1/9): all classes" in output_meanings([classifier, classifier])["rank_one_energy"]


@pytest.mark.parametrize("width", [40, 60, 100])
@pytest.mark.parametrize("networks", [1, 2])
def test_the_terminal_tells_them(classifier: Trace, width: int, networks: int) -> None:
    several = tuple(Network(f"net{k}", classifier, ()) for k in range(networks))
    lines = terminal_lines(Inspected(several, "made", None), width)
    text = " ".join(" ".join(lines).split())
    assert max(map(cell_len, lines)) <= width
    assert "Near 1: they agree, and the gradient hardly depends on the input; about √T" in text
    value = (
        "Largest wrong class 97% (class 3)" if networks == 1 else "Largest wrong class A 97% (class 3) B 97% (class 3)"
    )
    assert value in text
    assert output_meanings([classifier])["correlation"] in text
    assert prediction(classifier) in text


def test_the_page_shows_them(made: Made, classifier: Trace) -> None:
    page = render_trace(classifier)
    assert 'data-chart="kernel_gradient_ratio"' in page
    for row in output_rows([classifier]):
        assert f"<dt>{row.title}</dt>" in page
        assert f"<b>{row.values[0]}</b>" in page
    assert f'<p class="verdict">{prediction(classifier)}</p>' in page
    assert 'class="first">97% (class 3)' in render_trace([classifier, classifier])
    assert 'id="outputs"' not in render_trace(made())


def test_json_has_the_numbers_and_what_they_mean(made: Made, classifier: Trace) -> None:
    found = inspected_numbers(Inspected((Network("a", classifier, ()), Network("b", made(), ())), "made", None))
    assert found["networks"][0]["output_gradients"] == {**NUMBERS, "correlation": None}
    assert found["networks"][1]["output_gradients"] == {}
    assert found["networks"][0]["layers"][0]["kernel_gradient_ratio"] == 5.0
    assert set(NUMBERS) - set(found["meanings"]) == {
        "images", "classes", "largest_class", "predicted_class"
    }  # fmt: skip
    assert "√T: they cancel like independent ones" in found["meanings"]["kernel_gradient_ratio"]
    assert "cosine" not in inspected_numbers(Inspected((Network("b", made(), ()),), "made", None))["meanings"]


def test_a_class_that_is_predicted_whatever_the_input_stands_out(made: Made, classifier: Trace) -> None:
    assert standouts(classifier)[-1] == (
        "The network predicts one class whatever the input: class 3 is the largest output of 95% of the samples, "
        "12% belong to it. It is the largest wrong class of 97% of the others; rank-one energy 50%, from 11% (all "
        "classes as likely) to 56% (one certain)."
    )
    for share in ("predicted_share", "positive_share"):
        other = dataclasses.replace(classifier, output_gradients={**NUMBERS, share: 0.3})
        assert standouts(other)[0].startswith("Nothing stands out")


@pytest.mark.parametrize(
    ("numbers", "begins", "told"),
    [
        ({"predicted_share": 0.5}, "The network does not predict one class: the most frequent, class 3,", "of 50% of"),
        ({"positive_share": 0.3}, "The network prefers one class whatever the input, but not by much:", "gets 30% of"),
        ({"label_share": 0.75}, "This batch does not tell whether one class is predicted", "75% of the samples belong"),
    ],
)
def test_whether_one_class_is_predicted(classifier: Trace, numbers: dict[str, float], begins: str, told: str) -> None:
    sentence = prediction(dataclasses.replace(classifier, output_gradients={**NUMBERS, **numbers}))
    assert sentence.startswith(begins)
    assert told in sentence


class Given(torch.nn.Module):
    """Whose outputs are what it is given, and a parameter."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.shift


@pytest.mark.parametrize(
    ("own", "one", "begins"),
    [
        (9.0, 5.0, "The network does not predict one class"),  # the gradient alone could not tell from the next one
        (0.0, 9.0, "The network predicts one class"),
        (0.0, 0.1, "The network prefers one class whatever the input, but not by much"),
        (2.0, 0.0, "The network does not predict one class"),
    ],
    ids=["right, errors to one class", "one class", "hardly one class", "right"],
)
def test_what_is_told_of_networks_of_which_it_is_known(own: float, one: float, begins: str) -> None:
    labels = torch.arange(40) % 8
    logits = own * torch.nn.functional.one_hot(labels, 8).double()
    logits[:, 2] += one
    found = trace(Given(8).double(), logits, labels, measures=("output_gradients",))
    assert prediction(found).startswith(begins)
