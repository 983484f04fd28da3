"""How the keys of one listing are taken apart: separators, wrappers, numbers inside segments, classes in leaves."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from wmtui.core.matching.reading.leaves import COMPOUND_LEAVES, ENDINGS, PREFIXES, TELLING, is_leaf
from wmtui.core.wrappers import WRAPPERS

_WEIGHT_NORM = {
    ".parametrizations.weight.original0": "weight_g",
    ".parametrizations.weight.original1": "weight_v",
}
_AVERAGED = re.compile(r"[./](?:~[./])?(?:moving_(mean|variance)|(mean|var)_ema)[./]average$")
"""The average that a module of its own keeps of a statistic (Sonnet, Haiku)."""

_VARIABLES = ("weight", "bias", "running_mean", "running_var")
"""Keras numbers a layer's own variables (``dense/vars/0``) in this order."""

_INDEX = re.compile(r"^(.*?)([0-9]+)$", re.DOTALL)
_SQUARE = re.compile(r"()([0-9]+)x\2")
"""A resolution (``64x64``) that counts the stages of a network."""

_WINDOW = re.compile(r"[0-9]x[0-9]+$")
_INNER_INDEX = re.compile(r"(?<=[0-9])_(?=.)")
_BESIDE = re.compile(r"(([A-Za-z_]+)([0-9]+))(_[A-Za-z_]+)$")
_INNER_LETTER = re.compile(r"([A-Za-z]+)([0-9]+)([a-z])_(?=.)")
_LETTERED_PART = re.compile(r"(?:^|[./])([A-Za-z]+)([0-9]+)([a-z])_(?=.)")
_DOUBLED = re.compile(r"([A-Za-z]+[0-9]+)([A-WYZa-wyz][A-Za-z]*[0-9]+)")
_LONE_INDEX = re.compile(r"_[0-9]+_")

_SAVED, _UNSAVED = "modules_to_save", "original_module"
_SAVED_TWICE = frozenset({_SAVED, _UNSAVED, "default"})
"""PEFT keeps a trained module (``modules_to_save.default``) beside the one that it was copied from."""

Path = tuple[str, str]
"""Parent path and leaf of a key."""


def separator_of(keys: Sequence[str]) -> str:
    """The character that parts the segments of most keys: a dot, a slash, or else an underscore."""
    half = len(keys) / 2
    for separator in "./":
        if sum(separator in key for key in keys) >= half:
            slashes = separator == "." and sum("/" in key for key in keys) >= half
            return "/" if slashes and not _leaves_behind_dots(keys) else separator
    return "_"


def _leaves_behind_dots(keys: Sequence[str]) -> bool:
    """Whether most keys end in a tensor's own name behind a dot (``stem.stem_1/norm.weight``)."""
    return sum(is_leaf(key.rpartition(".")[2]) for key in keys) * 2 > len(keys)


class Segments:
    """The naming style of a listing.

    Attributes:
        separator: between the segments of most keys.
        paths: parent path and leaf of each key.
        flat: whether words are parted by underscores, so that each may be a segment.
        named: leaves that begin or end with their class: unit and class.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.separator = separator_of(keys) if keys else "."
        self._endings = _endings(keys, self.separator)
        self._slashed = self.separator == "." and sum("/" in key for key in keys) * 2 > len(keys)
        self._saved = any(f"{_SAVED}." in key for key in keys)
        self._known: dict[tuple[str, bool], tuple[str, ...]] = {}
        self._tokens: dict[str, tuple[str, int | None]] = {}
        self.paths = [self._split(key) for key in keys]
        parents = [parent for parent, _ in self.paths]
        self._by_underscore = self.separator != "_" and _underscores_part(parents, self.separator)
        self.flat = self.separator == "_" or self._by_underscore
        self._whole = {part for parent in set(parents) for part in parent.split(self.separator)}
        self._doubled = _doubled(parents)
        self._lettered = _lettered_stems(parents)
        self.named = _classes_in_leaves(self.paths)

    def _split(self, key: str) -> tuple[str, str]:
        """Parent path and leaf of a key, parametrised weights under their old names."""
        for end in self._endings:
            key = key.removesuffix(end)
        if self._slashed:
            key = key.replace("/", ".")
        if "parametrizations" in key:
            for long, short in _WEIGHT_NORM.items():
                key = key.replace(long.replace(".", self.separator), self.separator + short)
        head, variables, place = key.rpartition(f"{self.separator}vars{self.separator}")
        if variables and place.isdecimal() and int(place) < len(_VARIABLES):
            key = f"{head}{self.separator}{_VARIABLES[int(place)]}"
        if "average" in key and (match := _AVERAGED.search(key)):
            key = f"{key[: match.start()]}{self.separator}moving_{match[1] or match[2]}"
        if self.separator == "_":
            for leaf in COMPOUND_LEAVES:
                if key.endswith(f"_{leaf}"):
                    return key[: -len(leaf) - 1], leaf
        parent, _, leaf = key.rpartition(self.separator)
        return parent, leaf

    def expand(self, segment: str, strip: bool) -> tuple[str, ...]:
        """The tree's segments for one segment of a key: wrappers vanish, inner numbers end a segment.

        Not where what they end is a module of its own: ``norm1_context`` lies beside ``norm1``, not in it.
        """
        found = self._known.get((segment, strip))
        if found is None:
            if strip and self._saved and segment in _SAVED_TWICE:
                found = () if segment != _UNSAVED else (segment,)
            elif strip and segment in WRAPPERS:
                found = ()
            elif self._by_underscore:
                found = tuple(part for part in segment.split("_") if part)
            elif self._doubled and (match := _DOUBLED.fullmatch(segment)):
                found = match.groups()
            elif (match := _INNER_LETTER.match(segment)) and match[1] in self._lettered:
                found = (match[1] + match[2] + match[3], *_INNER_INDEX.split(segment[match.end() :]))
            else:
                parts = _INNER_INDEX.split(segment)
                found = (segment,) if len(parts) > 1 and parts[0] in self._whole else tuple(parts)
            self._known[segment, strip] = found
        return found

    def number(self, token: str) -> tuple[str, int | None]:
        """A segment without its trailing number, and that number."""
        parts = self._tokens.get(token)
        if parts is None:
            match = _SQUARE.fullmatch(token) or (None if _WINDOW.search(token) else _INDEX.match(token))
            beside = None if match else _BESIDE.match(token)
            if beside and beside[1] in self._whole:
                parts = (f"{beside[2]}{beside[4]}", int(beside[3][-15:]))
            else:
                parts = (match.group(1), int(match.group(2)[-15:])) if match else (token, None)
            self._tokens[token] = parts
        return parts


def _endings(keys: Sequence[str], separator: str) -> tuple[str, ...]:
    """What most keys end in behind the name of their tensor: ``:0``, ``/value``, ``/ema_0.9999``."""
    found = [":0"] if keys and sum(key.endswith(":0") for key in keys) * 2 > len(keys) else []
    last = Counter(key.rpartition(separator)[2] for key in keys)
    for segment, count in last.most_common(1):
        ending = separator + segment
        bare = [key.removesuffix(ending) for key in keys if key.endswith(ending)]
        named = sum(is_leaf(key.rpartition(separator)[2]) for key in bare)
        if count * 2 > len(keys) and named * 2 > count and not is_leaf(segment) and not set(bare) & set(keys):
            found.append(ending)
    return tuple(found)


def _underscores_part(parents: Sequence[str], separator: str) -> bool:
    """Whether single segments hold whole paths (``lora_unet_down_blocks_0_attn``)."""
    flat = sum(bool(_LONE_INDEX.search(p)) and p.count(separator) <= 1 and p.count("_") >= 3 for p in parents)
    return flat * 2 > len(parents)


def _doubled(paths: Iterable[str]) -> bool:
    """Whether segments hold two names with numbers each (``d1c2``, ``stage2Unit1``), in several combinations."""
    seconds: defaultdict[str, set[str]] = defaultdict(set)
    for path in set(paths):
        for segment in re.split("[./]", path):
            if match := _DOUBLED.fullmatch(segment):
                seconds[match[1]].add(match[2])
    return sum(len(found) > 1 for found in seconds.values()) > 1


def _lettered_stems(paths: Iterable[str]) -> set[str]:
    """Stems that stand with a number and several letters before an underscore (``block2a_bn``, ``block2b_bn``)."""
    letters: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for path in set(paths):
        for match in _LETTERED_PART.finditer(path):
            letters[match[1], match[2]].add(match[3])
    return {stem for (stem, _), found in letters.items() if {"a", "b"} <= found}


def _classes_in_leaves(paths: Sequence[Path]) -> dict[Path, Path]:
    """Leaves that begin or end with their class (``Wq`` and ``bq``, ``in_weight`` and ``in_bias``): unit and class."""
    known = set(paths)
    found: dict[Path, Path] = {}
    for parent, leaf in paths:
        if (parent, f"{leaf}_bias") in known and leaf not in TELLING:
            found[parent, leaf], found[parent, f"{leaf}_bias"] = (leaf, "weight"), (leaf, "bias")
            continue
        for weight, bias in ENDINGS:
            unit = leaf.removesuffix(weight)
            if unit and unit != leaf and (parent, unit + bias) in known:
                found[parent, leaf], found[parent, unit + bias] = (unit, "weight"), (unit, "bias")
                break
        for weight, bias in PREFIXES if (parent, leaf) not in found else ():
            unit = leaf.removeprefix(weight)
            if unit and unit != leaf and (parent, bias + unit) in known:
                found[parent, leaf], found[parent, bias + unit] = (unit, "weight"), (unit, "bias")
                break
    return found
