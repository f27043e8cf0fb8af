"""Random networks of finite width, many at once: what depth makes of a batch of points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from normscope.models.builder import require_integer, require_positive
from normscope.nn.switches import Scale
from normscope.simulate.backward import Gradients, backward
from normscope.simulate.device import usable_device
from normscope.simulate.elementwise import Activation
from normscope.simulate.inputs import initial_state
from normscope.simulate.law import LawSource
from normscope.simulate.layer import Layer, Residual
from normscope.simulate.passing import Passed, Skip, Source, pass_layer
from normscope.simulate.plan import Parameters, make_layers, require_parameters
from normscope.simulate.recording import Callback, Recorder, record_names, recorded_depths, require_callback
from normscope.simulate.requirements import check_memory
from normscope.simulate.result import RandomNetworks
from normscope.simulate.roots import narrow_root
from normscope.simulate.state import State, repeat
from normscope.simulate.streams import Streams
from normscope.simulate.weights import WeightsSource, gaussian, weight_law

_DTYPES = (torch.float32, torch.float64)
_NARROW = 4  # times n: below, features may not have full rank, and float64 products cost nothing


def random_network(
    inputs: Any,
    width: int,
    depth: int,
    *,
    recenter: bool | Sequence[bool],
    rescale: bool | Sequence[bool],
    activation: str | Activation | Sequence[str | Activation] = "relu",
    networks: int = 1,
    method: str = "law",
    seed: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
    is_gram: bool | None = None,
    scale: Scale = "auto",
    parameters: Parameters | None = None,
    residual: Residual | None = None,
    branch_scale: float = 1.0,
    depths: Iterable[int] | None = None,
    record: str | Sequence[str] = "gram",
    callback: Callback | None = None,
    gradients: bool = False,
) -> RandomNetworks:
    """X ← φ(γ·RS(RC(X Wᵀ + b)) + β), ``depth`` times, in ``networks`` independent random networks.

    RC subtracts the mean over the batch from every feature; RS divides by its scale over the batch. A feature of no
    scale becomes 0.

    ``method="law"`` draws no weights. Given X, the features of X Wᵀ are independent N(0, XXᵀ/d): they are drawn from
    that, in blocks, in n numbers a feature in place of d. The Gram matrices have exactly the law that they have with
    weights drawn. ``method="weights"`` draws every weight matrix.

    Network k is the same for any number of networks, and its first layers for any depth. What is drawn depends on the
    seed, the method, the batch size, the width and the kind of device, not on threads or memory; thread counts
    change results by rounding, as they do matrix products (see docs/simulation.md).

    Args:
        inputs: points (n, d), or their Gram matrix (n, n).
        width: features of every layer.
        depth: layers.
        recenter: RC, for all layers or one value a layer.
        rescale: RS, likewise.
        activation: φ: a name of `normscope.models.ACTIVATIONS`, or an elementwise, deterministic function of
            tensors; or a sequence of these, one a layer.
        networks: how many; they share the input.
        method: "law" or "weights".
        seed: decides everything.
        device: where to compute; None is the CPU.
        dtype: of the features, torch.float32 or torch.float64. float32 resolves 1 − cosine down to about 1e-7;
            tighter clusters need float64.
        is_gram: whether ``inputs`` are a Gram matrix. None: yes if they are square, symmetric and without negative
            eigenvalues, which data in practice are not; say False if yours are.
        scale: what RS divides by: "std", the standard deviation; "rms", the root mean square; "auto", std with RC
            and rms without.
        parameters: weights, biases, gains; None is Gaussian weights of variance 1/fan_in and nothing else.
        residual: None, or where a shortcut joins, from the second layer on (the first maps the input to the
            width): "activated", X + αφ(N(X Wᵀ)); "inside", φ(X + αN(X Wᵀ)); "projected", X + αφ(N(X Wᵀ))Vᵀ with a
            second matrix V of the same law. N is normalization, gain and shift. By the law the first two keep the
            features of all networks in memory.
        branch_scale: α.
        depths: which depths are recorded, 0 being the input; None is all.
        record: "gram" and names of `normscope.measure.GRAM_MEASURES`, one or several; the log scale is always there.
        callback: called at each of ``depths`` with (depth, Gram matrices, log scales) of all networks.
        gradients: also the gradients of a random linear function of the last features; see `RandomNetworks`. Keeps
            the features of all layers.

    Returns:
        `RandomNetworks`, on the CPU.

    Raises:
        ValueError: a size below 1, an unknown name, a wrong shape, weights that the law does not have, or a device that
            is not there.
        TypeError: an argument of the wrong type.
        MemoryError: it would not fit into what is free; says what takes most.
        FloatingPointError: an activation that grows faster than linearly left the range of numbers.

    Source: the law is that of Gaussian matrices; as a method for these networks it is normscope's own.
    """
    require_positive(width=width, depth=depth, networks=networks)
    seed = require_integer("seed", seed)
    if method not in ("law", "weights"):
        raise ValueError(f"method must be 'law' or 'weights', got {method!r}")
    if not isinstance(gradients, bool):
        raise TypeError(f"gradients must be True or False, got {gradients!r}")
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
    where = usable_device(device)
    parameters = require_parameters(parameters)
    draw_weights = weight_law(parameters.weights)
    if method == "law" and draw_weights is not gaussian:
        raise ValueError(f"the law is that of Gaussian weights, not of {parameters.weights!r}: use method='weights'")
    names, at = record_names(record), recorded_depths(depths, depth)
    require_callback(callback)
    with torch.no_grad():
        layers = make_layers(
            depth,
            recenter=recenter,
            rescale=rescale,
            activation=activation,
            scale=scale,
            parameters=parameters,
            residual=residual,
            branch_scale=branch_scale,
            dtype=dtype,
            device=where,
        )
        keep = method == "weights" or gradients or residual in ("activated", "inside")
        state = initial_state(inputs, is_gram, keep=keep, dtype=dtype, device=where)
        n = state.gram.shape[-1]
        fan_in = n if state.features is None else state.features.shape[-1]
        check_memory(
            n=n,
            fan_in=fan_in,
            width=width,
            depth=depth,
            networks=networks,
            recorded=len(at) * (1 + gradients) if "gram" in names else 0,
            method=method,
            keep=keep,
            gradients=gradients,
            matrices=max(len(passes) for passes in layers),
            item=dtype.itemsize,
            device=where,
        )
        state = repeat(state, networks)
        source: Source
        if method == "law":
            source = LawSource(seed, networks, n, width, sum(map(len, layers)), dtype, where)
        else:
            source = WeightsSource(seed, networks, fan_in, width, draw_weights, where, keep=gradients)
        recorder = Recorder(at, names, callback, networks, n)
        recorder(0, state)
        double = gradients or dtype == torch.float64 or width <= _NARROW * n
        tape: list[list[Passed]] = []
        for t, passes in enumerate(layers, 1):
            state, passed = _through(passes, source, state, width, keep, double, gradients)
            tape.append(passed)
            recorder(t, state)
        found = backward(tape, Streams(seed, f"{method} backward", networks, where)) if gradients else None
    return _result(recorder, at, found, "gram" in names)


def _through(
    passes: tuple[Layer, ...],
    source: Source,
    state: State,
    width: int,
    keep: bool,
    double: bool,
    gradients: bool,
) -> tuple[State, list[Passed]]:
    """One depth: one weight matrix or two."""
    start, passed = state, []
    for layer in passes:
        skip = _skip(start, width) if layer.residual else None
        networks, n, _ = state.gram.shape
        like = state.features
        z = None if not gradients or like is None else like.new_empty(networks, n, width)
        before = state
        state, units, factor = pass_layer(layer, source, before, width, skip, keep=keep, double=double, z_kept=z)
        if z is not None:
            skipped, log_skip = (None, None) if skip is None else (start.features, skip.log_unit)
            recentered = source.recenters and layer.law_recenters
            kept = source.kept if isinstance(source, WeightsSource) else None
            passed.append(Passed(layer, before, z, units, recentered, skipped, log_skip, factor, state, kept))
    return state, passed


def _skip(state: State, width: int) -> Skip:
    """The shortcut's features: those there are, or others of the same Gram matrix where only that matters.

    Behind a Gaussian matrix the law of the sum depends on X by XXᵀ alone, so that X may be taken with all but the
    first n of its features zero.
    """
    given, log_unit = state.features, state.log_scale / 2
    if given is not None:
        return Skip(lambda networks, part: given[networks, :, part], log_unit)
    root = narrow_root(state.gram, width) * width**0.5  # shape: (networks, n, min(n, width))

    def block(networks: slice, part: slice) -> Tensor:
        some = root[networks, :, part]
        return torch.nn.functional.pad(some, (0, part.stop - part.start - some.shape[-1]))

    return Skip(block, log_unit)


def _result(recorder: Recorder, at: tuple[int, ...], found: Gradients | None, with_gram: bool) -> RandomNetworks:
    if found is None:
        return RandomNetworks(at, recorder.log_scale, recorder.measures, recorder.gram)
    log_scale, weight = (torch.stack(values[::-1], 1).cpu() for values in (found.log_scale, found.weight_log_norm2))
    gram = torch.stack([found.gram[::-1][t] for t in at], 1).cpu() if with_gram else None
    return RandomNetworks(
        at, recorder.log_scale, recorder.measures, recorder.gram, gram, log_scale[:, list(at)], weight
    )
