"""The order in which a forward pass uses a model's parameters, at no compute: on meta or fake tensors."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from wmtui.errors import InputError
from wmtui.files.dtypes import torch_name

if TYPE_CHECKING:
    import torch
    from torch import nn

_ASKS = frozenset(
    ("__get__", "size", "dim", "numel", "stride", "type", "is_floating_point", "is_complex", "element_size", "data_ptr",
     "detach", "requires_grad_", "__len__", "__hash__", "storage_offset", "is_contiguous", "get_device", "nelement")
)  # fmt: skip
"""Functions that ask a tensor for its properties, which is no use of it."""


def dummy_inputs(texts: Sequence[str]) -> tuple[torch.Tensor, ...]:
    """Meta tensors from ``1x3x224x224`` or ``1x128:int64``; float32 where no type is given.

    Raises:
        InputError: a text is malformed.
    """
    if not texts:
        return ()
    import torch

    made = []
    for text in texts:
        sizes, _, name = text.partition(":")
        dtype = torch_name(name or "float32")
        if not re.fullmatch(r"\d+(x\d+)*", sizes) or not isinstance(getattr(torch, dtype or "", None), torch.dtype):
            raise InputError(f"{text!r} is no dummy input", "give its shape and type: 1x3x224x224 or 1x128:int64")
        shape = [int(size) for size in sizes.split("x")]
        made.append(torch.empty(shape, dtype=getattr(torch, str(dtype)), device="meta"))
    return tuple(made)


def execution_order(module: nn.Module, inputs: Sequence[torch.Tensor]) -> tuple[Mapping[str, int], str | None]:
    """Run one forward pass without compute, and see which tensors it uses first.

    Args:
        module: on any device; it is left as it was.
        inputs: positional arguments of its ``forward``, on any device.

    Returns:
        key of the ``state_dict`` -> place in the order, only for tensors that were used; and a note where the forward
        pass failed, with an order that is empty then.
    """
    import torch

    held = module.state_dict(keep_vars=True)
    tensors = {key: value for key, value in held.items() if isinstance(value, torch.Tensor)}
    if any(map(torch.nn.parameter.is_lazy, tensors.values())):  # a forward pass would change it for good
        return {}, "no execution order: the model has lazy parameters, which have no shape before its first real input"
    before = [(c, dict(c.__dict__), dict(c._parameters), dict(c._buffers)) for c in module.modules()]
    real = any(tensor.device.type != "meta" for tensor in (*module.parameters(), *module.buffers()))
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):  # seconds to import
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            module.eval()
            used = (_on_fakes if real else _on_meta)(stack, module, inputs)
    except (Exception, SystemExit) as e:
        lines = str(e).strip().splitlines() or [""]
        return {}, f"no execution order: the forward pass raised {type(e).__name__}: {lines[0][:200]}"
    finally:
        for child, attributes, parameters, buffers in before:  # a forward pass may leave fake tensors behind
            child.__dict__.clear()
            child.__dict__.update(attributes, _parameters=parameters, _buffers=buffers)
    return {key: used[id(value)] for key, value in tensors.items() if id(value) in used}, None


def _on_meta(stack: ExitStack, module: nn.Module, inputs: Sequence[torch.Tensor]) -> dict[int, int]:
    """A module on the meta device: id of a tensor -> when it was first used."""
    import torch

    used: dict[int, int] = {}
    stack.enter_context(torch.device("meta"))
    stack.enter_context(_recorder({id(tensor) for tensor in (*module.parameters(), *module.buffers())}, used))
    module(*(tensor.to("meta") for tensor in inputs))
    return used


def _on_fakes(stack: ExitStack, module: nn.Module, inputs: Sequence[torch.Tensor]) -> dict[int, int]:
    """The same for a module with real tensors, which stay as they are."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    used: dict[int, int] = {}
    stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
    stack.enter_context(_recorder({id(tensor) for tensor in (*module.parameters(), *module.buffers())}, used))
    device = next(tensor.device for tensor in (*module.parameters(), *module.buffers()) if tensor.device.type != "meta")
    module(*(torch.empty(tensor.shape, dtype=tensor.dtype, device=device) for tensor in inputs))
    return used


def _recorder(wanted: set[int], used: dict[int, int]) -> Any:
    """A mode that notes, for each wanted tensor, when a torch function first gets it as an argument."""
    from torch.overrides import TorchFunctionMode

    def note(value: object) -> None:
        if id(value) in wanted:
            used.setdefault(id(value), len(used))
        elif isinstance(value, (list, tuple)):
            for part in value:
                note(part)

    class Recorder(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(func, "__name__", "") not in _ASKS:
                note(args)
                note(tuple((kwargs or {}).values()))
            return func(*args, **(kwargs or {}))

    return Recorder()
