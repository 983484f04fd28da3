"""Pickles read as graphs and written again mean the same."""

import collections
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtui.files.pickle_graph import Call, Global, Persistent, Table
from wmtui.files.pickle_reader import read_pickle
from wmtui.files.writing.pickle_writer import write_pickle


class Thing:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self) -> None:
        self.a, self.b = 1, [2]


class Made:
    def __init__(self, *, key: str) -> None:
        self.key = key

    def __new__(cls, *, key: str) -> "Made":
        return super().__new__(cls)

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, str]]:
        return (), {"key": self.key}


def again(data: bytes) -> bytes:
    graph = read_pickle(data, "test")
    return bytes(write_pickle(graph.root, graph.protocol, lambda node: node))


def roundtrip(value: Any, protocol: int = 2) -> Any:
    return pickle.loads(again(pickle.dumps(value, protocol)))


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.dictionaries(st.text(), inner).map(collections.OrderedDict)
        | inner.map(Thing)
    ),
    max_leaves=20,
)


@given(values, st.integers(2, 5))
@settings(max_examples=150, deadline=None)
def test_any_value_survives_in_any_protocol(value, protocol):
    made = roundtrip(value, protocol)
    assert made == value
    assert repr(made) == repr(value) or "Thing" in repr(value)


@given(values)
@settings(max_examples=100, deadline=None)
def test_writing_again_changes_nothing_more(value):
    once = again(pickle.dumps(value, 2))
    assert again(once) == once


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_collections_of_all_kinds_survive(protocol):
    counts: collections.defaultdict[str, list[int]] = collections.defaultdict(list, {"a": [1]})
    value: list[Any] = [
        {1, 2}, frozenset({3}), bytearray(b"abc"), b"x" * 300, counts, collections.Counter("aab"),
        np.arange(6).reshape(2, 3), np.float32(2.5), range(3), slice(1, 2), list(range(5000)),
        {i: str(i) for i in range(5000)}, 10**400, -(10**400), -129, 255, 256, 65535, 65536, -1 << 31, 1 << 31,
    ]  # fmt: skip
    made = roundtrip(value, protocol)
    assert np.array_equal(made.pop(6), value.pop(6))
    assert made == value
    assert [type(item) for item in made] == [type(item) for item in value]


@pytest.mark.parametrize("protocol", [2, 4])
def test_objects_with_slots_and_keyword_arguments_survive(protocol):
    slotted, made = roundtrip((Slotted(), Made(key="x")), protocol)
    assert (slotted.a, slotted.b) == (1, [2])
    assert made.key == "x"


def test_what_is_shared_stays_shared_and_circles_close():
    shared = [1]
    circle: list[Any] = [shared]
    circle.append(circle)
    table: dict[str, Any] = {"shared": shared, "circle": circle}
    table["itself"] = table
    thing = Thing(None)
    thing.value = (thing, shared)
    made, other = roundtrip((table, thing))
    assert made["itself"] is made
    assert made["circle"][1] is made["circle"]
    assert made["circle"][0] is made["shared"]
    assert other.value[0] is other
    assert other.value[1] is made["shared"]


def test_equal_numbers_of_other_types_stay_apart():
    value = [(1, 2), (True, 2), (1, 2.0), (1, 2), (1, 1, 1, 1), (1, True, 1, 1), (1, 1, 1, 1.0), (0,), (False,), ()]
    for protocol in (0, 2, 4):
        data = write_pickle(read_pickle(pickle.dumps(value, protocol), "x").root, protocol, lambda node: node)
        found = pickle.loads(data)
        assert found == value
        assert [[type(n) for n in part] for part in found] == [[type(n) for n in part] for part in value]


def test_equal_shapes_are_kept_once():
    shapes = pickle.dumps([tuple([n % 3, n % 2, 4, 5][: 1 + n % 4]) for n in range(1000)], 2)
    root = read_pickle(shapes, "x").root
    assert isinstance(root, list)
    assert len({id(shape) for shape in root}) == len(set(root)) < 30
    assert len(write_pickle(root, 2, lambda node: node)) < len(shapes) / 2


def test_calls_that_share_their_arguments_or_hold_themselves_survive():
    arguments: tuple[Any, ...] = (1, "a", [2], None)
    func = Global("types", "SimpleNamespace")
    first, second = Call("inst", func, ()), Call("reduce", Global("builtins", "max"), (3, 1, 2, 2))
    first.state = Table()
    first.state.items += [("args", arguments), ("self", first)]
    shared = Global("operator", "itemgetter")
    calls = [Call("reduce", shared, arguments[:1] * 4) for _ in range(2)]
    both = Call("reduce", shared, calls[0].args)
    found = pickle.loads(write_pickle([first, second, *calls, both, calls[0]], 2, lambda node: node))
    assert found[0].self is found[0]
    assert found[0].args == arguments
    assert found[1] == 3
    assert found[2] is found[5]
    assert found[4]([7, 8]) == (8, 8, 8, 8)


def test_depth_has_no_limit():
    data = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    node: Any = read_pickle(again(data), "test").root
    depth = 1
    while node:
        (node,) = node
        depth += 1
    assert depth == 100_000


def test_old_strings_of_python_2_stay_what_they_are():
    data = b"\x80\x02(U\x03abcU\x02\xe4\xfct."
    assert pickle.loads(again(data), encoding="latin1") == pickle.loads(data, encoding="latin1")


def test_bytes_stay_bytes_in_a_pickle_that_says_it_is_older():
    assert pickle.loads(again(b"\x80\x02C\x01u.")) == b"u"


def test_a_line_break_in_the_name_of_a_class_starts_no_opcode():
    """Written as a line, the name would end early, and what comes after it would be run."""
    module, name = "x\ncos\nsystem\n(S'touch canary'\ntR.", "y\ud800"
    pickled = b"\x80\x04" + b"".join(
        b"\x8c" + bytes([len(raw)]) + raw for raw in (part.encode("utf-8", "surrogatepass") for part in (module, name))
    )
    root = read_pickle(again(pickled + b"\x93."), "test").root
    assert isinstance(root, Global)
    assert (root.module, root.name) == (module, name)


def test_only_opcodes_of_protocol_2_are_written_for_protocol_2():
    import pickletools

    data = again(pickle.dumps([{"a": (1, 2, 3, 4)}, b"x", 1.5, "ü", 10**30, Thing(None)], 2))
    assert {op.proto for op, _, _ in pickletools.genops(data)} <= {0, 1, 2}


def test_persistent_ids_can_be_replaced():
    data = b"\x80\x02(X\x01\x00\x00\x00aQX\x01\x00\x00\x00bQt."
    graph = read_pickle(data, "test")
    seen = []

    def replace(node: Persistent) -> Any:
        seen.append(node.pid)
        return Persistent(("new", node.pid)) if node.pid == "a" else ["instead"]

    made = write_pickle(graph.root, 2, replace)

    class Loader(pickle.Unpickler):
        def persistent_load(self, pid: Any) -> Any:
            return ("loaded", pid)

    import io

    assert Loader(io.BytesIO(made)).load() == (("loaded", ("new", "a")), ["instead"])
    assert seen == ["a", "b"]
