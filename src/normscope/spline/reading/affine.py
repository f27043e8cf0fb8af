"""Which of torch's operators are affine in the values that depend on the input, the others being constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

SHAPE_ONLY: Final = frozenset({
    "zeros_like", "ones_like", "empty_like", "full_like", "new_zeros", "new_ones", "new_full", "new_empty",
    "new_empty_strided", "rand_like", "randn_like", "randint_like",
})  # fmt: skip
"""Operators whose result does not depend on the values of their arguments."""

RESHAPING: Final = frozenset({
    "view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze", "flatten", "view_copy",
    "squeeze_copy", "unsqueeze_copy",
})  # fmt: skip
"""Operators that put the same numbers, in the same order, into another shape."""

_JOINTLY: Final = RESHAPING | frozenset({
    # places: every output is one of the inputs, or a constant
    "permute", "transpose", "t", "expand", "slice", "select", "split", "split_with_sizes", "unbind", "cat", "stack",
    "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk",
    "clone", "alias", "detach", "contiguous", "_to_copy", "to", "lift_fresh", "lift_fresh_copy", "copy", "fill",
    "nan_to_num",  # of finite numbers
    "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
    "replication_pad2d", "replication_pad3d", "flip", "rot90", "roll", "repeat", "unfold", "im2col", "diagonal", "tril",
    "triu", "index_select", "gather", "index", "_unsafe_index", "slice_scatter", "select_scatter", "diagonal_scatter",
    "index_put", "_unsafe_index_put", "index_fill", "index_copy", "scatter", "masked_fill", "where", "pixel_shuffle",
    "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle", "take", "diag_embed", "movedim", "swapaxes",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact1d",
    "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "_unsafe_masked_index", "expand_as",
    # sums with constant weights
    "add", "sub", "rsub", "neg", "mean", "sum", "cumsum", "trace", "scatter_add", "index_add", "col2im",
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d",
    "upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d", "_upsample_bilinear2d_aa",
    "_upsample_bicubic2d_aa", "diff", "unfold_backward",
})  # fmt: skip

# factors: at most one of the arguments at these positions may depend on the input
_PRODUCTS: Final[Mapping[str, tuple[int, ...]]] = {
    "mul": (0, 1), "mm": (0, 1), "bmm": (0, 1), "mv": (0, 1), "dot": (0, 1), "vdot": (0, 1), "matmul": (0, 1),
    "addmm": (1, 2), "baddbmm": (1, 2), "addbmm": (1, 2), "addmv": (1, 2), "addr": (1, 2), "addcmul": (1, 2),
    "linear": (0, 1), "convolution": (0, 1), "_convolution": (0, 1), "convolution_overrideable": (0, 1),
    "mkldnn_convolution": (0, 1), "grid_sampler_2d": (0, 1), "outer": (0, 1), "ger": (0, 1), "kron": (0, 1),
    "_trilinear": (0, 1, 2),
}  # fmt: skip

# arguments at these positions must be constants; the rest is affine
_CONSTANT: Final[Mapping[str, tuple[int, ...]]] = {
    "div": (1,), "addcdiv": (2,), "lerp": (2,), "embedding_bag": (0,), "grid_sampler_2d": (1,), "grid_sampler_3d": (1,),
}  # fmt: skip

# batch normalization by given statistics: the position of the switch that takes those of the batch, if there is one
_NORMALIZATIONS: Final[Mapping[str, int | None]] = {
    "native_batch_norm": 5, "cudnn_batch_norm": 5, "miopen_batch_norm": 5, "_native_batch_norm_legit": 5,
    "_native_batch_norm_legit_no_training": None, "_batch_norm_no_update": None,
}  # fmt: skip

_COMPARISONS: Final = frozenset({"gt", "ge", "lt", "le", "eq", "ne", "sign", "sgn", "heaviside", "argmax", "argmin"})

_JUMPS: Final = frozenset({
    "round", "floor", "ceil", "trunc", "frac", "remainder", "fmod", "hardshrink", "bernoulli", "bucketize",
    "searchsorted",
    "fake_quantize_per_tensor_affine_cachemask", "fake_quantize_per_channel_affine_cachemask",
    "quantize_per_tensor", "quantize_per_channel",
})  # fmt: skip

# piecewise affine (norms of order 1 and infinity are), by folds that nothing here follows
_NOT_FOLLOWED: Final = frozenset({
    "sort", "topk", "kthvalue", "median", "nanmedian", "mode", "cummax", "_cummax_helper", "cummin", "aminmax",
    "linalg_vector_norm", "norm", "_cdist_forward", "dist",
})  # fmt: skip

NOT_AFFINE: Final = ", which is not piecewise affine"

Depends = Callable[[Any], bool]


def why_not_affine(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], depends: Depends, called: str = ""
) -> str | None:
    """None where the operator is affine in its arguments that depend on the input, else what it does.

    Args:
        name: the operator without namespace and overload: "addmm".
        args: its positional arguments.
        kwargs: its keyword arguments.
        depends: whether an argument depends on the input.
        called: the function of torch that the model calls, which applies it: "instance_norm".
    """
    if name in _NORMALIZATIONS:
        return _normalization(name, args, depends, called)
    if kwargs.get("rounding_mode") is not None:
        return f"rounds a quotient{NOT_AFFINE}"
    if kwargs.get("reduce") is not None:
        return f"applies {name} with a reduction{NOT_AFFINE}"
    dtype = kwargs.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        return f"turns values that depend on the input into {str(dtype).removeprefix('torch.')}{NOT_AFFINE}"
    if name in _COMPARISONS:
        return f"compares values that depend on the input ({spoken(name)}): say it with relu, clamp or torch.maximum"
    constant = [args[position] for position in _CONSTANT.get(name, ()) if position < len(args)]
    if any(depends(argument) for argument in constant):
        return f"applies {spoken(name)} with a {_ROLES.get(name, 'parameter')} that depends on the input{NOT_AFFINE}"
    factors = [args[position] for position in _PRODUCTS.get(name, ()) if position < len(args)]
    if sum(depends(argument) for argument in factors) > 1:
        return f"multiplies two values that depend on the input ({spoken(name)}){NOT_AFFINE}"
    if name in _JOINTLY or name in _PRODUCTS or name in _CONSTANT:
        return None
    if name == "pow" and not depends(args[0]):
        return f"applies pow with an exponent that depends on the input{NOT_AFFINE}"
    if name == "pow" and args[1] == 1:
        return None
    if name in _JUMPS:
        return f"applies {spoken(name)}, which jumps"
    if name in _NOT_FOLLOWED and not (name in _NORMS and _order(args) not in (1.0, math.inf, -math.inf)):
        return f"applies {spoken(name)}, whose folds are not followed: say it with abs, amax or torch.maximum"
    return f"applies {spoken(name)}{NOT_AFFINE}"


_NORMS: Final = frozenset({"linalg_vector_norm", "norm", "_cdist_forward", "dist"})


def _order(args: Sequence[Any]) -> float:
    """Of a norm, the first of its numbers; 2 by default."""
    numbers = [float(argument) for argument in args[1:] if isinstance(argument, int | float)]
    return numbers[0] if numbers else 2.0


_ROLES: Final = {"div": "divisor", "addcdiv": "divisor", "lerp": "weight"}


def _normalization(name: str, args: Sequence[Any], depends: Depends, called: str) -> str | None:
    switch = _NORMALIZATIONS[name]
    if switch is not None and args[switch]:
        if called == "instance_norm":
            return (
                f"normalizes every sample by its own mean and variance (instance_norm){NOT_AFFINE} in any mode; "
                f"with track_running_stats=True it takes running statistics in eval mode"
            )
        return (
            "normalizes by the statistics of the batch that it is given, in eval mode too (batch_norm with "
            "training=True): use an nn.BatchNorm module, or training=False"
        )
    if any(depends(argument) for argument in args[1:5]):
        return f"normalizes by statistics that depend on the input{NOT_AFFINE}"
    return None


def spoken(name: str) -> str:
    """An operator as its users call it: "_softmax" is softmax, "native_layer_norm" layer_norm."""
    return name.strip("_").removeprefix("native_")
