"""`WeightRenamer`: the keys of a checkpoint renamed, everything else in it kept."""

from __future__ import annotations

import pickle
import re
import sys
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.plan import make_plan
from wmtui.core.printable import encodable, printable
from wmtui.core.proposal import Transform
from wmtui.errors import FormatError, InputError, MissingError, UnsafeError
from wmtui.files.writing.steps import ModuleMap

from .checkpoint import load_opened, open_checkpoint, weights_of_opened
from .saving import make_folder, save_renamed, save_values
from .state_dicts import extract_state_dict, tensors_of

if TYPE_CHECKING:
    from wmtui.files.source import OpenedSide


class _State(NamedTuple):
    """The keys at one moment: name -> value, name -> the file's own key, and the versions of the modules."""

    values: dict[str, Any]
    origins: dict[str, str]
    metadata: Any


class WeightRenamer:
    """Loads a checkpoint, renames keys, and saves it with its nesting and everything that is not a weight.

    Nothing in the file is executed. Values may be changed through `state_dict`, and are saved as they stand then.

    Args:
        weight_path: a checkpoint file, or a folder of shards.
        use_checkpoint_loader: read any format and files with unknown classes, as `load_checkpoint_as_dict` does;
            without it, only what ``torch.load(weights_only=True)`` takes.
        weights_key: path of the dictionary of weights (``ema.module``), where the file has several.

    Raises:
        MissingError (a FileNotFoundError): there is no such file.
        InputError (a ValueError): it cannot be used.
    """

    def __init__(
        self, weight_path: str | Path, use_checkpoint_loader: bool = True, *, weights_key: str | None = None
    ) -> None:
        self.weight_path = Path(weight_path)
        self._opened: OpenedSide | None = None
        if use_checkpoint_loader:
            self._opened = open_checkpoint(self.weight_path, weights_key)
            self._checkpoint: Any = load_opened(self._opened)
            self._weights = weights_of_opened(self._checkpoint, self._opened)
        else:
            self._checkpoint = _torch_load(self.weight_path)
            self._weights = extract_state_dict(self._checkpoint, weights_key=weights_key)
        self._origins = {key: key for key in self._weights}
        self._backup: _State | None = None
        self._handed_out = False

    @property
    def state_dict(self) -> dict[str, Any]:
        """The weights by their present names: the dictionary itself, whose values may be changed."""
        self._handed_out = True
        return self._weights

    def list_keys(self) -> list[str]:
        """All keys, in order."""
        return list(self._weights)

    def search_keys(self, pattern: str | re.Pattern[str]) -> list[str]:
        """The keys that contain a text, whatever its case, or in which a compiled regular expression is found."""
        if isinstance(pattern, re.Pattern):
            return [key for key in self._weights if pattern.search(key)]
        wanted = pattern.casefold()
        return [key for key in self._weights if wanted in key.casefold()]

    def rename_keys(self, key_mapping: Mapping[str, str], preserve_unmapped: bool = True, backup: bool = True) -> None:
        """Rename keys; chains and swaps are carried out at once.

        Args:
            key_mapping: present name -> new name.
            preserve_unmapped: keep the keys that the mapping does not name; else they are left out.
            backup: keep the state before the first change for `restore_backup`.

        Raises:
            KeyMissingError (a KeyError): the mapping names a key that is not there.
            PlanError (a ValueError): two keys would get one name. Nothing has changed then.
        """
        listing = Listing(self.weight_path.name, [TensorSpec(key) for key in self._weights])
        pairs = [(old, new, Transform.NONE) for old, new in key_mapping.items()]
        plan = make_plan(listing, pairs, unmapped="keep" if preserve_unmapped else "drop")
        names = [(op.source, new) for new, op in plan.outputs()]
        if backup and self._backup is None:
            self._backup = self._state()
        self._set(
            _State(
                {new: self._weights[old] for old, new in names},
                {new: self._origins.get(old, old) for old, new in names},
                _renamed_metadata(getattr(self._weights, "_metadata", None), dict(names)),
            )
        )

    def rename_with_prefix(self, old_prefix: str, new_prefix: str, backup: bool = True) -> None:
        """Replace the beginning of all keys that have it; errors as for `rename_keys`."""
        mapping = {
            key: f"{new_prefix}{rest}" if new_prefix else rest.removeprefix(".")
            for key in self._weights
            if (rest := key.removeprefix(old_prefix)) != key or not old_prefix
        }
        if "" in mapping.values():
            raise InputError(f"nothing of {old_prefix!r} would remain", "Give a prefix that ends before the last name.")
        if mapping:
            self.rename_keys(mapping, backup=backup)
        else:
            warnings.warn(f"no key begins with {old_prefix!r}", stacklevel=2)

    def remove_prefix(self, prefix: str, backup: bool = True) -> None:
        """Remove the beginning of all keys that have it, and the dot after it; errors as for `rename_keys`."""
        self.rename_with_prefix(prefix, "", backup=backup)

    def add_prefix(self, prefix: str, backup: bool = True) -> None:
        """Put a text before all keys."""
        self.rename_with_prefix("", prefix, backup=backup)

    def restore_backup(self) -> None:
        """Go back to the state before the first change that was made with ``backup``.

        Names and values of the dictionary come back; what was changed inside of a tensor does not.

        Raises:
            InputError (a ValueError): no backup available.
        """
        if self._backup is None:
            raise InputError("No backup available")
        self._set(self._backup)

    def save(self, output_path: str | Path) -> None:
        """Write the checkpoint, whole or not at all, replacing what is there.

        A path that ends in ``.safetensors`` gets that format, which holds nothing but the weights; else a file is
        saved in its own format, a whole pickled model as a plain state dict. Folders are made as needed.

        Raises:
            InputError (a ValueError): the output is the input, or the format cannot hold what is to be saved.
            WriteError (an OSError): it could not be written; what was there is untouched.
        """
        path = Path(output_path)
        inputs = self._opened.source.files if self._opened is not None else ()
        if any(one.exists() and path.exists() and one.samefile(path) for one in (self.weight_path, *inputs)):
            raise InputError(f"{path} is the input, which is never written to", "Give another output path.")
        make_folder(path)
        if self._opened is None or self._handed_out or self._opened.source.refusal is not None:
            metadata = dict(self._opened.side.metadata) if self._opened is not None else {}
            save_values(path, self._checkpoint, self._weights, metadata)
        else:
            save_renamed(path, self._opened, {old: new for new, old in self._origins.items()})

    def print_summary(self) -> None:
        """Print the file, how many keys and elements it has, and its first ten keys."""
        tensors = dict(tensors_of(self._weights))
        lines = [
            f"Weight file: {printable(str(self.weight_path))}",
            f"Total parameters: {len(self._weights)}",
            f"Total elements: {sum(tensor.numel() for tensor in tensors.values()):,}",
            "",
            "First 10 keys:",
        ]
        lines += (
            f"  {printable(key)}: {list(tensors[key].shape) if key in tensors else 'no tensor'}"
            for key in self.list_keys()[:10]
        )
        if len(self._weights) > 10:
            lines.append(f"  ... and {len(self._weights) - 10} more")
        for line in lines:
            print(encodable(line, sys.stdout.encoding))

    def _state(self) -> _State:
        return _State(dict(self._weights), dict(self._origins), getattr(self._weights, "_metadata", None))

    def _set(self, state: _State) -> None:
        self._weights.clear()
        self._weights.update(state.values)
        self._origins = dict(state.origins)
        if state.metadata is not None:
            self._weights._metadata = state.metadata  # type: ignore[attr-defined]


def rename_checkpoint_keys(
    input_path: str | Path,
    output_path: str | Path,
    key_mapping: Mapping[str, str] | None = None,
    old_prefix: str | None = None,
    new_prefix: str | None = None,
    use_checkpoint_loader: bool = True,
) -> None:
    """Rename the keys of a checkpoint file: by a mapping, then by a prefix, where these are given.

    Args:
        old_prefix: replaced by ``new_prefix``, or removed where that is not given.
        new_prefix: put before all keys where there is no ``old_prefix``.

    Raises:
        As `WeightRenamer` and its methods.
    """
    renamer = WeightRenamer(input_path, use_checkpoint_loader)
    if key_mapping:
        renamer.rename_keys(key_mapping, backup=False)
    if old_prefix is not None or new_prefix is not None:
        renamer.rename_with_prefix(old_prefix or "", new_prefix or "", backup=False)
    renamer.save(output_path)


def _renamed_metadata(metadata: Any, names: Mapping[str, str]) -> Any:
    """The ``_metadata`` of a state dict (module -> version) under the modules' new names."""
    if not isinstance(metadata, Mapping):
        return None
    modules = ModuleMap(names)
    renamed: OrderedDict[str, Any] = OrderedDict()
    for module, value in metadata.items():
        new = modules.rename(module)
        if new is not None:
            renamed.setdefault(new, value)
    return renamed


def _torch_load(path: Path) -> Any:
    """What ``torch.load(weights_only=True)`` makes of a file."""
    import torch

    if not path.exists():
        raise MissingError(f"{path} does not exist", "Give the path of a checkpoint.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UnsafeError(
            f"{path} asks for classes that torch does not load", "Leave use_checkpoint_loader as it is."
        ) from None
    except Exception as error:
        what = (str(error).splitlines() or [type(error).__name__])[0]
        raise FormatError(f"{path} cannot be loaded: {what}", "Leave use_checkpoint_loader as it is.") from None
