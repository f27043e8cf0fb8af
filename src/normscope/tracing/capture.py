"""Which tensors of a forward pass become rows: outputs of modules and, if asked, of functional operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._mode_utils import no_dispatch
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakTensorKeyDictionary

from normscope.tracing.inputs import tensors_in
from normscope.tracing.kernel_capture import KERNEL_LAYERS
from normscope.tracing.records import (
    GramBlocks,
    KernelInput,
    Plan,
    Record,
    channel_dimension,
    measure_gradient,
    measure_kernel,
    measure_output,
    rename,
)
from normscope.tracing.unwrap import plain_name


class Recorder:
    """Records outputs as they appear; a tensor that was recorded already is not recorded again.

    So a container whose forward only calls its submodules adds no row, and one whose forward adds or applies ``F.relu``
    adds one. A tensor counts as new again when an in-place operation has changed it.
    """

    def __init__(self, plan: Plan, tick: Callable[[int], None]) -> None:
        self.records: list[Record] = []
        self.grams = GramBlocks()
        self._plan, self._tick = plan, tick
        self._calls: Counter[str] = Counter()
        self._seen: Any = WeakTensorKeyDictionary()  # tensor -> (its version, its record)
        self._channel_dims: dict[tuple[int, ...], int] = {}
        self._path: list[str] = [""]  # names of the modules that are running, outermost first
        self._active = True
        self._watched: set[int] = set()  # records whose gradient is waited for
        self._handles: list[RemovableHandle] = []
        self._kernels: dict[int, KernelInput] = {}  # by record; of those whose gradient is waited for
        self._handed_on: list[tuple[Record, Tensor]] = []  # outputs that are parameters or inputs themselves

    @contextmanager
    def watching(self, layers: Mapping[str, nn.Module], model: nn.Module, ops: bool) -> Iterator[None]:
        """Hooks on, and off at the end, however it ends. ``layers`` are those to record, by name."""
        with ExitStack() as stack:
            names = {id(module): name for name, module in layers.items()}
            if ops:
                for name, module in model.named_modules():
                    path = names.get(id(module), name) if _is_leaf(module) else plain_name(name)
                    stack.callback(module.register_forward_pre_hook(self._entering(path)).remove)
            for module in model.modules():
                if id(module) in names or ops:
                    hook = self._leaving(names.get(id(module)), _is_leaf(module), ops)
                    stack.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
            if ops:
                stack.enter_context(_Operations(self))
            stack.callback(self._let_go)
            yield

    def _let_go(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._kernels.clear()

    def pause(self) -> None:
        """No more rows: the forward is over, and what runs in the backward (checkpointing) was seen already."""
        self._active = False

    def operation(self, name: str, inputs: Any, output: Any, changed: bool) -> None:
        """A functional operation inside a forward put out ``output``; ``changed``: it wrote into an input."""
        tensor = _primary(output)
        inside_parametrization = "parametrizations" in self._path[-1]
        if (
            self._active
            and not inside_parametrization
            and tensor is not None
            and (changed or self._record_of(tensor) is None)
        ):
            path = f"{self._path[-1]}.{name}".lstrip(".")
            self._calls[path] += 1
            repetition = self._calls[path] - 1
            self._add(path if repetition == 0 else f"{path}:{repetition}", name, 0, tensor, inputs)

    def _entering(self, name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any) -> None:
            self._path.append(name)

        return hook

    def _leaving(self, name: str | None, leaf: bool, ops: bool) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, keywords: Any, output: Any) -> None:
            inputs = (args, keywords)
            if ops:
                self._path.pop()
            tensor = _primary(output)
            if not self._active or name is None or tensor is None:
                return
            known = self._record_of(tensor)
            if known is None:
                known = self._add(name, type(module).__name__, self._calls[name], tensor, inputs, _width(module))
            elif leaf and known.layer.startswith(f"{name}."):
                # an operation inside this layer was recorded: it is the layer's output, and is named after it
                known.layer, known.call = name, self._calls[name]
                with _unseen():
                    rename(known, type(module).__name__, tensor, self._plan, _width(module))
                self._channel_dims[known.shape] = known.channel_dim
                self._watch_gradient(known, tensor, inputs)  # inside a custom autograd function there was none yet
            elif leaf:
                self._repeat(known, name, type(module).__name__)
            else:
                return
            if self._plan.kernels and isinstance(module, KERNEL_LAYERS):
                self._keep_input(known, module, inputs)
            self._calls[name] += 1

        return hook

    def _keep_input(self, record: Record, module: nn.Module, inputs: Any) -> None:
        """Autograd keeps the input too, where the kernel is trained."""
        given = next(tensors_in(inputs), None)
        if given is not None and not given.is_inference() and id(record) in self._watched:
            with _unseen():
                self._kernels[id(record)] = KernelInput(module, given.detach(), given._version)

    def _record_of(self, tensor: Tensor) -> Record | None:
        version, record = self._seen.get(tensor, (None, None))
        return record if version == _version(tensor) else None

    def _add(self, layer: str, kind: str, call: int, tensor: Tensor, inputs: Any, width: int | None = None) -> Record:
        shape = tuple(tensor.shape)
        channel_dim = channel_dimension(kind, shape, self._channel_dims.get(shape), width)
        self._channel_dims[shape] = channel_dim
        record = Record(layer, kind, call, shape, channel_dim)
        self.records.append(record)
        self._seen[tensor] = (_version(tensor), record)
        with _unseen():
            measure_output(record, tensor, self._plan, self.grams)
        self._tick(tensor.numel())
        self._watch_gradient(record, tensor, inputs)
        return record

    def _watch_gradient(self, record: Record, tensor: Tensor, inputs: Any) -> None:
        if not tensor.requires_grad or id(record) in self._watched:
            return
        self._watched.add(id(record))
        if tensor.grad_fn is None:
            # of a leaf (a parameter that is handed on) the hooks are the user's: the backward tells its gradient
            self._handed_on.append((record, tensor))
        else:
            source = _computed(tensor, inputs)
            # a tensor hook, not a full backward hook: those break when an in-place operation follows
            handle = source.register_hook(lambda gradient: self._gradient(record, gradient.reshape(record.shape)))
            self._handles.append(handle)

    def gradients_of_leaves(self, gradients: Mapping[int, Tensor]) -> None:
        """Fill the records of outputs that are parameters or inputs, from the gradients by the id of those."""
        for record, tensor in self._handed_on:
            if id(tensor) in gradients:
                self._gradient(record, gradients[id(tensor)])

    def _gradient(self, record: Record, gradient: Tensor) -> None:
        with _unseen():
            measure_gradient(record, gradient, self._plan)
            if (given := self._kernels.pop(id(record), None)) is not None:
                measure_kernel(record, given, gradient)
        self._tick(gradient.numel())

    def _repeat(self, known: Record, layer: str, kind: str) -> None:
        """A layer that hands on its input unchanged: its own row, the same measures."""
        twin = Record(layer, kind, self._calls[layer], known.shape, known.channel_dim)
        twin.scalars, twin.channels, twin.same_as = known.scalars, known.channels, known
        self.records.append(twin)


class _Operations(TorchFunctionMode):
    """Reports every functional operation that computes a tensor."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = _operation_name(func)
        if name is None:
            return func(*args, **kwargs)
        given = list(tensors_in((args, kwargs)))
        versions, storages = [_version(t) for t in given], {_storage(t) for t in given}
        output = func(*args, **kwargs)
        tensor = _primary(output)
        if tensor is not None:
            changed = any(t is tensor and _version(t) != v for t, v in zip(given, versions, strict=True))
            if changed or _storage(tensor) not in storages:  # a view of an input computes nothing
                self._recorder.operation(name, given, output, changed)
        return output


# what copies, makes, converts or reads a tensor, but computes nothing from it
_NOT_OPERATIONS = {
    "getitem", "setitem", "get", "set", "detach", "clone", "contiguous", "to", "float", "double", "half", "bfloat16",
    "type_as", "cuda", "cpu", "reshape", "zeros_like", "ones_like", "empty_like", "full_like", "rand_like",
    "randn_like", "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor", "requires_grad",
    "expand_as", "repeat", "tile", "copy", "deepcopy", "roll", "pad", "index_select", "gather", "arange", "linspace",
    "zeros", "ones", "full", "empty", "eye", "tensor", "as_tensor", "scalar_tensor", "rand", "randn", "normal",
}  # fmt: skip


def _operation_name(func: Callable[..., Any]) -> str | None:
    """The plain name of an overridable torch function; None for those that compute nothing."""
    name = (resolve_name(func) or getattr(func, "__name__", "")).split(".")[-1].strip("_")
    return None if not name or name in _NOT_OPERATIONS else _INFIX.get(name, name)


_INFIX = {"radd": "add", "iadd": "add", "rmul": "mul", "imul": "mul", "isub": "sub", "rsub": "sub", "itruediv": "div",
          "truediv": "div", "rtruediv": "div", "rmatmul": "matmul"}  # fmt: skip


def _primary(output: Any) -> Tensor | None:
    """The first dense floating-point tensor of an output that is more than one number (a loss is no activation)."""
    dense = (t for t in tensors_in(output) if t.layout == torch.strided and not t.is_nested)
    return next((t for t in dense if t.is_floating_point() and t.dim()), None)


def _computed(tensor: Tensor, inputs: Any) -> Tensor:
    """The tensor whose gradient is that of ``tensor`` whatever is written into it afterwards.

    A view (as `nn.Linear` returns of an input with positions) loses its hooks when it is written into; what it is a
    view of keeps them. Not so where that is an input, which may have other uses.
    """
    base = tensor._base
    if base is None or base.grad_fn is None or base.numel() != tensor.numel():
        return tensor
    if not (base.is_contiguous() and tensor.is_contiguous()):
        return tensor
    if any(base is t or base is t._base for t in tensors_in(inputs)):
        return tensor
    return base


@contextmanager
def _unseen() -> Iterator[None]:
    """What we compute is no operation of the model's, and writes into nothing of it."""
    with no_dispatch(), torch._C.DisableTorchFunction():
        yield


def _width(module: nn.Module) -> int | None:
    """How many channels a layer has by its own weight, where it has one weight a channel (a normalization)."""
    weight = getattr(module, "weight", None)
    return len(weight) if isinstance(weight, Tensor) and weight.dim() == 1 else None


def _is_leaf(module: nn.Module) -> bool:
    return all(name == "parametrizations" for name, _ in module.named_children())


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _storage(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse and other tensors without a storage
        return id(tensor)
