"""Models as sides: found by name, built without memory where that can be, listed as their ``state_dict`` is.

This is the one place of wmtui that runs code which the user names; nothing in a checkpoint gets here.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmtui.core.listing import Kind, Listing, TensorSpec
from wmtui.core.side import Content, Side, SideSpec
from wmtui.errors import InputError, KeyMissingError, ModelError
from wmtui.files.regular_file import RegularFile
from wmtui.files.source import OpenedSide, Place, Source, no_data

if TYPE_CHECKING:
    import torch
    from torch import nn

MAX_ARGS_FILE = 16 << 20


class ModelSource(Source):
    """A model that was built from the user's code.

    Attributes:
        module: as it was built, its weights usually on the meta device.
        spec: what the user asked for.
    """

    def __init__(self, spec: SideSpec, module: nn.Module) -> None:
        self.location = Path(spec.location)
        self.spec = spec
        self.module = module
        self.refusal = f"{spec.location} is a model, not a file"

    def place(self, key: str) -> Place:
        raise no_data(key, f"{self.spec.location} is a model, which has no weights in a file")

    def build_real(self) -> nn.Module:
        """The model once more, with real weights on the CPU.

        Raises:
            ModelError: its factory fails.
        """
        factory = find_factory(self.spec.location)
        try:
            return _call(factory, self.spec)
        except ModelError:
            raise
        except (Exception, SystemExit) as e:
            raise _failed(self.spec, e) from e


def parse_model_args(items: Sequence[str]) -> dict[str, object]:
    """Keyword arguments from the command line.

    Args:
        items: ``name=value`` with a Python literal or else a string, ``name=@file.json``, or ``@file.json`` with an
            object of several.

    Raises:
        InputError: an item has no name, or a file cannot be read as JSON.
    """
    found: dict[str, object] = {}
    for item in items:
        if item.startswith("@"):
            loaded = _json(Path(item[1:]))
            if not isinstance(loaded, dict):
                raise InputError(f"{item[1:]} holds no JSON object", "give names and values: {...}")
            found |= loaded
            continue
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"{item!r} is no argument of a model", "give name=value or @file.json")
        found[name] = _json(Path(value[1:])) if value.startswith("@") else _literal(value)
    return found


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _json(path: Path) -> object:
    with RegularFile(path) as file:
        if file.size > MAX_ARGS_FILE:
            raise InputError(f"{path} is too large for a model's arguments", "check the file")
        raw = file.read_at(0, file.size)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as e:
        raise InputError(f"{path} is no JSON: {e}", "check the file") from e


def find_factory(location: str) -> Any:
    """The object that ``package.module:name`` or ``file.py:name`` names.

    Raises:
        ModelError: the module or the name does not exist, or importing it fails.
    """
    where, _, name = location.rpartition(":")
    if not where or not all(part.isidentifier() for part in name.split(".")):
        raise ModelError(f"{location!r} names no model", "give package.module:factory or file.py:Class")
    try:
        with _importing(where), redirect_stdout(sys.stderr):
            found: Any = _load_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except ModelError:
        raise
    except ModuleNotFoundError as e:
        if e.name is not None and (where == e.name or where.startswith(f"{e.name}.")):
            raise ModelError(
                f"there is no module {where!r}", "check the spelling, or run wmtui where it can be imported"
            ) from e
        raise ModelError(f"{where} needs the module {e.name!r}, which is not installed", "install it") from e
    except (Exception, SystemExit) as e:
        raise ModelError(f"importing {where} raised {_summary(e)}", "make sure that python can import it") from e
    for part in name.split("."):
        if not hasattr(found, part):
            raise ModelError(f"{where} has no {name!r}", f"it has: {_callables(found)}")
        found = getattr(found, part)
    return found


@contextmanager
def _importing(where: str) -> Iterator[None]:
    """The folder of the file, or the working folder for a package, as an import path, as ``python`` has it."""
    folder = str(Path(where).expanduser().resolve().parent if where.endswith(".py") else Path.cwd())
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def _load_file(path: Path) -> object:
    path = path.expanduser()
    if not path.is_file():
        raise ModelError(f"{path} does not exist", "check the spelling, or give the whole path")
    resolved = path.resolve()
    name = f"wmtui_model_{resolved.stem}_{abs(hash(str(resolved))):x}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path} cannot be imported", "give a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # looking at a model leaves no files beside it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.dont_write_bytecode = writes
    return module


def _callables(module: object) -> str:
    names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    home = getattr(module, "__name__", "")
    shown = [name for name in names if getattr(getattr(module, name), "__module__", "") == home] or names
    return ", ".join(shown[:8]) + (" ..." if len(shown) > 8 else "") if shown else "nothing that can be called"


def _summary(error: BaseException) -> str:
    """The type and the first line of an error, for one line."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
    if isinstance(error, SyntaxError) and error.lineno:
        text += f" (line {error.lineno})"
    return text


def _failed(spec: SideSpec, error: BaseException) -> ModelError:
    remedy = (
        "give its arguments: --source-args or --target-args name=value"
        if isinstance(error, TypeError)
        else ("try the same call in python")
    )
    return ModelError(f"building {spec.location} raised {_summary(error)}", remedy)


def _call(factory: Any, spec: SideSpec) -> nn.Module:
    """Call the factory; a module that stands there already is taken as it is."""
    from torch import nn

    if isinstance(factory, nn.Module):
        return factory
    if not callable(factory):
        kind = type(factory).__name__
        raise ModelError(f"{spec.location} is no model but of type {kind}", "name a class or a function")
    with _importing(spec.location.rpartition(":")[0]), redirect_stdout(sys.stderr):
        made = factory(**spec.args)
    if not isinstance(made, nn.Module):
        raise ModelError(
            f"{spec.location} returned no torch.nn.Module but a {type(made).__name__}", "name what returns the model"
        )
    return made


def build(factory: Any, spec: SideSpec) -> tuple[nn.Module, tuple[str, ...]]:
    """Build a model with as little memory as can be.

    On the meta device; where that fails, on the CPU with each parameter moved to meta as it is registered; at last on
    the CPU.

    Returns:
        the model, and notes.

    Raises:
        ModelError: the factory fails in all these ways, or returns no module.
    """
    import torch

    ways: list[Callable[[], Any]] = [lambda: torch.device("meta"), _moved_to_meta, lambda: torch.device("cpu")]
    for way in ways:
        try:
            with way():
                made = _call(factory, spec)
            break
        except ModelError:
            raise
        except (Exception, SystemExit) as e:
            error = e
    else:
        raise _failed(spec, error) from error
    taken = sum(t.nbytes for t in (*made.parameters(), *made.buffers()) if t.device.type != "meta")
    if way is ways[-1]:
        return made, (f"built on the CPU, as it cannot be built on the meta device: {taken / 1e6:,.0f} MB of memory",)
    return made, ()


@contextmanager
def _moved_to_meta() -> Iterator[None]:
    """While it is on, parameters and buffers become meta tensors when a module registers them; ties are kept."""
    import weakref

    import torch
    from torch.nn.modules import module as hooks

    moved: dict[int, tuple[weakref.ref[torch.Tensor], torch.Tensor]] = {}

    def move(_module: nn.Module, _name: str, tensor: Any) -> Any:
        if not isinstance(tensor, torch.Tensor) or tensor.device.type == "meta" or torch.nn.parameter.is_lazy(tensor):
            return None
        known = moved.get(id(tensor))
        if known is not None and known[0]() is tensor:
            return known[1]
        made = torch.empty_like(tensor, device="meta")
        if isinstance(tensor, torch.nn.Parameter):
            made = torch.nn.Parameter(made, requires_grad=tensor.requires_grad)
        moved[id(tensor)] = (weakref.ref(tensor), made)
        return made

    handles = [
        register(move)
        for register in (
            hooks.register_module_parameter_registration_hook,
            hooks.register_module_buffer_registration_hook,
        )
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def module_listing(module: nn.Module, name: str = "", order: Mapping[str, int] | None = None) -> Listing:
    """The tensors of a module's ``state_dict()`` with kinds and ties.

    Args:
        module: on any device, meta included.
        name: of the listing; the module's class by default.
        order: key -> place in the execution order, see `wmtui.files.execution.execution_order`.
    """
    import torch

    state = module.state_dict(keep_vars=True)
    kinds: dict[str, Kind] = {
        key: "parameter" if isinstance(value, torch.nn.Parameter) else "buffer" for key, value in state.items()
    }
    return state_listing(state, name or type(module).__name__, kinds, order)


def state_listing(
    state: Mapping[str, Any], name: str, kinds: Mapping[str, Kind] | None = None, order: Mapping[str, int] | None = None
) -> Listing:
    """The tensors of a state dict in memory, in its order; what is no tensor is left out.

    Args:
        kinds: key -> kind, where it is known.
        order: key -> place in the execution order.
    """
    import torch

    firsts: dict[object, str] = {}
    specs = []
    for key, value in state.items():
        if not isinstance(value, torch.Tensor):
            continue
        kind = (kinds or {}).get(key)
        dtype = str(value.dtype).removeprefix("torch.")
        if torch.nn.parameter.is_lazy(value):
            specs.append(TensorSpec(key, (), dtype, kind, None, None, type(value).__name__))
            continue
        first = firsts.setdefault(_identity(value), key) if value.numel() else key
        specs.append(
            TensorSpec(
                key, tuple(value.shape), dtype, kind, value.numel() * value.element_size(),
                None if first == key else first, _type_name(value), None, (order or {}).get(key),
            )
        )  # fmt: skip
    return Listing(name, specs)


def _identity(tensor: torch.Tensor) -> object:
    """Equal for tensors that are the same elements in the same order."""
    try:
        storage = tensor.untyped_storage()._cdata
        return (storage, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
    except (RuntimeError, NotImplementedError):  # sparse and wrapper tensors have no storage
        return id(tensor)


def _type_name(tensor: torch.Tensor) -> str | None:
    import torch

    if tensor.is_quantized:
        return "QuantizedTensor"
    if tensor.layout != torch.strided:
        return "SparseTensor"
    plain = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)
    return None if type(tensor) in plain else type(tensor).__name__


def open_model(spec: SideSpec) -> OpenedSide:
    """Build the model that a side names, and list it.

    Raises:
        ModelError: it does not exist, or cannot be built.
        InputError: a dummy input is malformed.
    """
    from wmtui.files.execution import dummy_inputs, execution_order

    if spec.weights_key:
        raise KeyMissingError(f"{spec.location} is a model without a dictionary {spec.weights_key!r}", "leave it out")
    inputs = dummy_inputs(spec.inputs)
    module, notes = build(find_factory(spec.location), spec)
    order: Mapping[str, int] = {}
    if inputs:
        order, note = execution_order(module, inputs)
        notes = (*notes, note) if note else notes
    listing = module_listing(module, order=order)
    if not len(listing):
        raise ModelError(f"{spec.location} has no parameters", "name what returns the model")
    contents = Content("object", f"{type(module).__module__}.{type(module).__qualname__}")
    side = Side(spec, listing, "model", None, weights_keys={"": len(listing)}, contents=contents, notes=notes)
    return OpenedSide(side, ModelSource(spec, module))
