"""What can be known of the order of modules: whether a listing has lost it, and the usual order to put in its place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from wmtui.core.listing import TensorSpec
from wmtui.core.matching.reading.vocabulary import STAGES
from wmtui.core.matching.reading.words import words

if TYPE_CHECKING:
    from wmtui.core.matching.reading.tree import Node

_FEW = 4
_SORTED_SHARE = 0.97
_UNKNOWN = 45.0
_BARE_NORM = 41.0
_STREAMS = frozenset({"cond", "txt", "vis", "add", "added"})
"""Words that say whose a norm is (``norm1_context``), not where it stands."""

_MOST_INTERLEAVED = 40


def keys_sorted(specs: Sequence[TensorSpec]) -> bool:
    """Whether a listing is sorted by name, or by type and then by name, as safetensors files are."""
    drops = sum(a.key > b.key for a, b in pairwise(specs))
    return len(specs) >= _FEW and drops < len({spec.dtype for spec in specs}) + len({spec.where for spec in specs}) - 1


def looks_sorted(root: Node) -> bool:
    """Whether the children of nearly all modules stand in alphabetical order, as in safetensors files.

    Equal sets of children count once, so that many like layers do not outvote the rest.
    """
    seen: set[tuple[str, ...]] = set()
    rising = pairs = 0
    stack = [root]
    while stack:
        node = stack.pop()
        names = tuple(dict.fromkeys(child.stem for child in node.children.values() if child.stem))
        if len(names) > 1 and names not in seen:
            seen.add(names)
            pairs += len(names) - 1
            rising += sum(a < b for a, b in pairwise(names))
        stack.extend(node.children.values())
    return pairs >= _FEW and rising >= _SORTED_SHARE * pairs


@lru_cache(maxsize=65536)
def stage(name: str) -> float:
    """Where in a network a segment of that name usually stands, 0 to 100."""
    found = words(name)
    if not found:
        return _UNKNOWN
    if found[-1] == "norm" and len(found) == 1:
        return _BARE_NORM
    if found[-1] == "post":
        return STAGES["final"]
    if found[0] == "norm" and _STREAMS.issuperset(found[1:]):
        return _BARE_NORM + 0.1
    for word in found:
        head, bound, tail = word.partition(":")
        if bound:
            place = STAGES.get(tail, _UNKNOWN)
            return place - 0.6 if head == "pre" else place + 3.0
    if {"gate", "up", "down"} & set(found) and {"proj", "fc", "mlp"} & set(found):
        return 50.0 + ("up" in found) + 2 * ("down" in found)
    if found[0] in ("up", "short") and "conv" not in found:
        return 58.0
    if found[0] == "down" and "proj" not in found:
        return 15.5
    if "out" in found and {"self", "attn", "cross"} & set(found):
        return STAGES["cross" if "cross" in found else "rel"] + 0.5
    if "out" in found or "head" in found:
        return max(STAGES.get(word, 0.0) for word in found)
    places = [STAGES[word] for word in found if word in STAGES and word not in ("proj", "fc", "conv", "layer")]
    if not places:
        places = [STAGES.get(word, _UNKNOWN) for word in found]
    return (min(places) if places[0] <= STAGES["cls"] else places[0]) + (0.3 if found[-1] == "norm" else 0.0)


def canonical_position(child: Node, parent: Node) -> tuple[float, float, int, str]:
    """Sorting key that puts a module's children into the order that they usually run in; short names first."""
    size = len(words(child.stem))
    base = stage(child.stem)
    if child.index is None:
        if base == _BARE_NORM and not _is_list(child) and any(map(_is_list, parent.children.values())):
            base = STAGES["final"]
        return (base, 0.0, size, child.token)
    if child.stem and len(parent.children) <= _MOST_INTERLEAVED:
        numbered = {sibling.stem for sibling in parent.children.values() if sibling.index is not None}
        together = min(stage(stem) for stem in numbered if stem)
        if len(numbered) > 1 and base - together < 12:
            return (together, child.index + (base - together) / 100, size, child.token)
    return (base, float(child.index), size, child.token)


def usual_places(nodes: Sequence[Node], scope: Node) -> list[int]:
    """The place of each node of a scope in the usual order of all of them."""
    keys = [_usual_path(node, scope) for node in nodes]
    order = sorted(range(len(nodes)), key=keys.__getitem__)
    places = [0] * len(nodes)
    for place, k in enumerate(order):
        places[k] = place
    return places


def _usual_path(node: Node, scope: Node) -> list[tuple[float, float, int, str]]:
    found = []
    while node is not scope and node.parent is not None:
        found.append(canonical_position(node, node.parent))
        node = node.parent
    return found[::-1]


def ends_apart(node: Node) -> list[Node]:
    """A module's children with the list between its two ends (``proj_in``, ``proj_out``, ``layers``) where it runs."""
    children = list(node.children.values())
    for k, (first, last) in enumerate(pairwise(children)):
        ends = first.token.endswith("in") and last.token.endswith("out") and first.token[:-2] == last.token[:-3]
        if ends and first.index is last.index is None:
            rest = children[k + 2 :]
            middle = next((n for n, child in enumerate(rest) if not _is_list(child, least=1)), len(rest))
            return [*children[: k + 1], *rest[:middle], last, *rest[middle:]] if middle else children
    return children


def _is_list(node: Node, least: int = 2) -> bool:
    """Whether a module is a list of so many blocks at least."""
    return len(node.children) >= least and all(
        child.index is not None and not child.stem for child in node.children.values()
    )
