"""Pickles as plain graphs: every opcode is understood, none is carried out.

Nothing is imported, looked up or called. Classes and functions become `Global` nodes, calls become `Call` nodes that
remember function and arguments, persistent ids become `Persistent` nodes; numbers, strings, bytes, booleans, ``None``,
lists and tuples are themselves. The graph is complete: objects that are shared in the pickle are the same node here,
so that a writer can change it in place (rename or drop entries of a `Table`) and emit it again.

Opcodes as in CPython's ``pickletools``. Objects, memo, stack and steps are capped, so that no pickle of any size takes
more than some 400 MB and some seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

MAX_PICKLE = 128 << 20
"""Largest pickle that is read, in bytes."""

Node: TypeAlias = object
"""A scalar, ``list`` or ``tuple`` of nodes, or one of the classes below."""


class Global:
    """A class or function by name; one object for each name within a graph. ``path`` is ``module.name``."""

    __slots__ = ("module", "name", "path")

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name
        self.path = f"{module}.{name}"

    def __repr__(self) -> str:
        return f"Global({self.path!r})"


class Persistent:
    """A reference to something outside of the pickle, such as a storage."""

    __slots__ = ("pid",)

    def __init__(self, pid: Node) -> None:
        self.pid = pid


class Table:
    """A dict; ``items`` in order, keys may be any nodes and, in odd files, stand twice (the last one counts)."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[tuple[Node, Node]] = []


class Bag:
    """A set or frozenset, or a bytearray with its bytes as the only element."""

    __slots__ = ("elements", "kind")

    def __init__(self, kind: Literal["set", "frozenset", "bytearray"], elements: list[Node]) -> None:
        self.kind = kind
        self.elements = elements


class Call:
    """An object that unpickling would make by a call, and what it would then put into it.

    Attributes:
        how: ``reduce`` (``func(*args)``), ``newobj`` (``func.__new__(func, *args)``), ``newobj_ex`` (with ``kwargs``),
            ``inst`` (old-style classes, opcodes INST and OBJ).
        func: a `Global`, or whatever else stood there.
        args: usually a tuple.
        kwargs: for ``newobj_ex`` only.
        elements: list items appended to it, or ``None``.
        items: dict items set in it, or ``None``.
        state: the argument of its BUILD, or `NO_STATE`.
    """

    __slots__ = ("args", "elements", "func", "how", "items", "kwargs", "state")

    def __init__(self, how: Literal["reduce", "newobj", "newobj_ex", "inst"], func: Node, args: Node) -> None:
        self.how = how
        self.func = func
        self.args = args
        self.kwargs: Node = None
        self.elements: list[Node] | None = None
        self.items: list[tuple[Node, Node]] | None = None
        self.state: Node = NO_STATE


class _NoState:
    __slots__ = ()

    def __repr__(self) -> str:
        return "NO_STATE"


NO_STATE = _NoState()
"""State of a `Call` without BUILD (its BUILD may well be with ``None``)."""


class Graph(NamedTuple):
    """One pickle.

    Attributes:
        root: its object.
        protocol: the protocol that it declares.
        end: where it ends in the data.
        globals: all classes and functions that it names.
        persistents: all its references to things outside, but those of folded tensors.
        folded: its folded tensors, of `wmtui.files.folded`.
    """

    root: Node
    protocol: int
    end: int
    globals: tuple[Global, ...] = ()
    persistents: tuple[Persistent, ...] = ()
    folded: tuple[Node, ...] = ()


def path_of(func: Node) -> str:
    """``module.name`` of a `Global`; "" for anything else."""
    return func.path if isinstance(func, Global) else ""


def dict_items(node: Node) -> list[tuple[Node, Node]] | None:
    """The items of a dict or of an object that is filled like one (OrderedDict, defaultdict, ...); else ``None``."""
    if isinstance(node, Table):
        return node.items
    if isinstance(node, Call):
        if node.items is not None:
            return node.items
        if path_of(node.func) in ("collections.OrderedDict", "collections.defaultdict", "collections.Counter"):
            node.items = _items_of_pairs(node.args)
            return node.items
    return None


def _items_of_pairs(args: Node) -> list[tuple[Node, Node]]:
    """Items of ``OrderedDict([[key, value], ...])``, as protocols 0 and 1 of Python 2 write it."""
    pairs = args[0] if isinstance(args, tuple) and args else None
    if not isinstance(pairs, list):
        return []
    return [(pair[0], pair[1]) for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2]


def string_items(node: Node) -> Iterator[tuple[str, Node]]:
    """The items of a dict-like node that have strings for keys, in order; of keys that stand twice, the last."""
    items = dict_items(node)
    if items is None:
        return iter(())
    return iter({key: value for key, value in items if isinstance(key, str)}.items())


def get(node: Node, key: str) -> Node:
    """The value of a string key in a dict-like node, or ``None``."""
    for k, value in reversed(dict_items(node) or ()):
        if isinstance(k, str) and k == key:
            return value
    return None
