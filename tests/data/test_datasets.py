"""Data sets: what they hold, how a subset is chosen, and the generators that stay as they were."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.datasets import load_digits, make_moons

from normscope import data
from reference import data as reference

FALSE_ALARM = 1e-6  # of each statistical test below; the seeds are fixed, so they pass or fail for good


@cache
def raw_digits() -> tuple[torch.Tensor, list[int]]:
    bunch = load_digits()
    return torch.tensor(bunch.images), bunch.target.tolist()


def raw_images() -> torch.Tensor:
    return raw_digits()[0]


def global_generators() -> list[object]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 (the global generator is the one in question)
    return [torch.get_rng_state().tolist(), kind, keys.tolist(), rest, random.getstate()]


# --- every data set -----------------------------------------------------------------------------------------------

CASES = {
    "digits": ({"count": 23, "size": 5, "channels": 3}, (23, 3, 5, 5)),
    "cifar10": ({"count": 23}, (23, 3, 32, 32)),
    "cifar100": ({"count": 23}, (23, 3, 32, 32)),
    "gaussian": ({"count": 23, "features": 6}, (23, 6)),
    "two_moons": ({"count": 23, "noise": 0.2}, (23, 2)),
}


@pytest.fixture
def options_of(cifar_archives):
    """The options of a data set's case; those on disk get archives in the published format."""

    def find(name: str) -> dict[str, object]:
        return CASES[name][0] | (cifar_archives if name.startswith("cifar") else {})

    return find


def test_every_data_set_has_a_case():
    assert CASES.keys() == data.DATASETS.keys()


@pytest.mark.parametrize("name", CASES)
def test_every_data_set_keeps_the_promises(name, options_of):
    options, shape = options_of(name), CASES[name][1]
    before = global_generators()
    dataset = data.load(name, **options, seed=5)
    assert global_generators() == before
    inputs, targets = dataset
    assert inputs is dataset.inputs
    assert targets is dataset.targets
    assert dataset.name == name
    assert str(len(targets)) in dataset.description
    assert (inputs.shape, inputs.dtype) == (shape, torch.float32)
    assert (targets.shape, targets.dtype) == ((shape[0],), torch.int64)
    assert torch.isfinite(inputs).all()
    torch.rand(3)  # whatever else draws in between
    again, other = data.load(name, **options, seed=5), data.load(name, **options, seed=6)
    assert torch.equal(again.inputs, inputs)
    assert torch.equal(again.targets, targets)
    assert not torch.equal(other.inputs, inputs)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: data.load("mnist"),
            ValueError,
            "unknown data set 'mnist'; choose one of digits, cifar10, cifar100, g",
        ),
        (lambda: data.digits(0), ValueError, "size must be at least 1, got 0"),
        (lambda: data.digits(channels=0), ValueError, "channels must be at least 1, got 0"),
        (lambda: data.digits(count=0), ValueError, "count must be at least 1, got 0"),
        (lambda: data.digits(count=-3), ValueError, "count must be at least 1, got -3"),
        (lambda: data.digits(count=1798), ValueError, "count must be at most 1797, the size of the set, got 1798"),
        (lambda: data.digits(8.0), TypeError, "size must be an integer, got 8.0"),
        (lambda: data.digits(count=True), TypeError, "count must be an integer, got True"),
        (lambda: data.digits(seed=-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: data.digits(count=3, seed=-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: data.digits(count=3, seed="0"), TypeError, "seed must be an integer, got '0'"),
        (lambda: data.gaussian(0, 3), ValueError, "count must be at least 1, got 0"),
        (lambda: data.gaussian(3, 0), ValueError, "features must be at least 1, got 0"),
        (lambda: data.gaussian(3, 3, classes=0), ValueError, "classes must be at least 1, got 0"),
        (lambda: data.gaussian(3, 3, seed=2**32), ValueError, r"seed must be less than 2\*\*32, got 4294967296"),
        (lambda: data.two_moons(0), ValueError, "count must be at least 1, got 0"),
        (lambda: data.two_moons(9, noise=-0.1), ValueError, "noise must be a finite .* at least 0, got -0.1"),
        (lambda: data.two_moons(9, noise=math.nan), ValueError, "noise must be a finite .* at least 0, got nan"),
        (lambda: data.two_moons(9, noise=math.inf), ValueError, "noise must be a finite .* at least 0, got inf"),
        (lambda: data.two_moons(9, seed=2**32), ValueError, r"seed must be less than 2\*\*32"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_scikit_learn_is_imported_when_its_data_are_asked_for():
    program = (
        "import sys, normscope.data as d; a = 'sklearn' in sys.modules; d.digits(); print(a, 'sklearn' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("whole", ["whole", "subset"])
def test_what_a_caller_does_to_a_data_set_stays_with_the_caller(name, whole, options_of):
    options = options_of(name)
    if whole == "whole" and name not in ("gaussian", "two_moons"):
        options = {key: value for key, value in options.items() if key in ("root", "checksums")}
    spoilt = data.load(name, **options)
    inputs, targets = spoilt.inputs.clone(), spoilt.targets.clone()
    spoilt.inputs.fill_(-7)
    spoilt.targets.fill_(-7)
    again = data.load(name, **options)
    assert torch.equal(again.inputs, inputs)
    assert torch.equal(again.targets, targets)


# --- digits -------------------------------------------------------------------------------------------------------


def test_the_whole_set_is_scikit_learns_normalized():
    inputs, targets = data.digits()
    images = raw_images()
    assert targets.tolist() == raw_digits()[1]
    expected = (images - images.mean()) / images.std(correction=0)
    torch.testing.assert_close(inputs[:, 0].double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 9, 12, 16, 28, 32])
def test_mean_zero_and_variance_one_at_every_size(size):
    inputs = data.digits(size, 2).inputs.double()
    assert inputs.shape == (1797, 2, size, size)
    assert inputs.mean().item() == pytest.approx(0, abs=1e-6)
    assert inputs.var(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert torch.equal(inputs[:, 0], inputs[:, 1])


@pytest.mark.parametrize("size", [9, 16, 21, 32])
def test_enlarging_is_bilinear(size):
    expected = reference.enlarge(raw_images(), size)
    expected = (expected - expected.mean()) / expected.std(correction=0)
    torch.testing.assert_close(data.digits(size).inputs[:, 0].double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("size", "mean", "std"), [(8, "4.884", "6.017"), (32, "4.884", "5.178")])
def test_the_numbers_of_the_normalization_are_stated(size, mean, std):
    whole = reference.enlarge(raw_images(), size)
    assert (f"{whole.mean():.3f}", f"{whole.std(correction=0):.3f}") == (mean, std)
    for text in (data.digits(size).description, data.digits.__doc__):
        assert mean in text
        assert std in text


def test_shrinking_averages_instead_of_skipping():
    """At half the size a pixel must depend on every pixel that it covers."""
    images = raw_images()
    halved = data.digits(4).inputs[:, 0].double()
    boxes = images.unfold(1, 2, 2).unfold(2, 2, 2).mean((-2, -1))
    correlation = np.corrcoef(halved.flatten(), boxes.flatten())[0, 1]
    skipped = np.corrcoef(images[:, ::2, ::2].flatten(), boxes.flatten())[0, 1]
    assert correlation > 0.97
    assert skipped < 0.9


def test_a_subset_is_normalized_by_the_whole_set():
    whole, subset = data.digits(6), data.digits(6, count=50, seed=1)
    rows = {row.numpy().tobytes(): target for row, target in zip(*whole, strict=True)}
    for row, target in zip(*subset, strict=True):
        assert rows[row.numpy().tobytes()] == target


def test_large_images_cost_what_is_asked_for():
    assert data.digits(1500, count=1).inputs.shape == (1, 1, 1500, 1500)  # all of them would be 32 GB in float64


@given(count=st.integers(1, 1797), seed=st.integers(0, 2**32 - 1))
def test_a_subset_is_balanced_and_the_beginning_of_a_larger_one(count, seed):
    inputs, targets = data.digits(2, count=count, seed=seed)
    assert len(targets) == len(inputs) == count
    available = reference.class_counts(raw_digits()[1])
    counts = reference.class_counts(targets.tolist())
    full = max(counts)
    assert all(found in (full, full - 1) or found == most for found, most in zip(counts, available, strict=True))
    for start in range(0, min(count, 1740) - 9, 10):
        assert sorted(targets[start : start + 10].tolist()) == list(range(10))
    if count < 10:
        assert len(set(targets.tolist())) == count
    fewer = max(1, count // 2)
    shorter = data.digits(2, count=fewer, seed=seed)
    assert torch.equal(shorter.inputs, inputs[:fewer])
    assert torch.equal(shorter.targets, targets[:fewer])


def test_no_image_is_chosen_twice():
    """All 1797 at once must be the whole set, in another order."""
    whole, shuffled = data.digits(), data.digits(count=1797)
    order = [sorted(map(tuple, dataset.inputs.flatten(1).tolist())) for dataset in (whole, shuffled)]
    assert order[0] == order[1]
    assert not torch.equal(whole.targets, shuffled.targets)


def test_the_choice_of_images_is_random():
    """Over 120 seeds the first image's class is uniform (a χ² test), and the images are mostly different ones."""
    firsts = [data.digits(1, count=1, seed=seed) for seed in range(120)]
    counts = reference.class_counts([dataset.targets.item() for dataset in firsts])
    assert stats.chisquare(counts).pvalue > FALSE_ALARM
    assert len({dataset.inputs.item() for dataset in firsts}) > 80


# --- points -------------------------------------------------------------------------------------------------------


def test_gaussian_points_are_standard_normal_and_their_labels_balanced():
    inputs, targets = data.gaussian(2003, 25)
    assert stats.kstest(inputs.double().flatten().numpy(), stats.norm.cdf).pvalue > FALSE_ALARM
    assert sorted(set(reference.class_counts(targets.tolist()))) == [200, 201]
    assert reference.class_counts(data.gaussian(9, 2, classes=3).targets.tolist()) == [3, 3, 3] + [0] * 7
    # Neighbouring features and neighbouring points are uncorrelated.
    for a, b in ((inputs[:, 1:], inputs[:, :-1]), (inputs[1:], inputs[:-1])):
        assert stats.pearsonr(a.flatten().numpy(), b.flatten().numpy()).pvalue > FALSE_ALARM


def test_gaussian_labels_are_not_in_the_order_of_the_points():
    targets = data.gaussian(100, 2).targets
    assert not torch.equal(targets, torch.arange(100) % 10)


def test_two_moons_without_noise_lie_on_their_half_circles():
    inputs, targets = data.two_moons(101, noise=0.0, seed=2)
    x, y = inputs.double().T
    upper = targets == 0
    assert sorted([int(upper.sum()), int((~upper).sum())]) == [50, 51]
    torch.testing.assert_close((x**2 + y**2)[upper], torch.ones(int(upper.sum())).double())
    torch.testing.assert_close(((x - 1) ** 2 + (y - 0.5) ** 2)[~upper], torch.ones(int((~upper).sum())).double())
    assert (y[upper] >= -1e-6).all()
    assert (y[~upper] <= 0.5 + 1e-6).all()


def test_two_moons_are_scikit_learns():
    points, labels = make_moons(40, noise=0.3, random_state=9)
    inputs, targets = data.two_moons(40, noise=0.3, seed=9)
    assert inputs.tolist() == points.astype(np.float32).tolist()
    assert targets.tolist() == labels.tolist()
