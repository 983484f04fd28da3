"""The reader of pickles against CPython's own, and against damage of every kind."""

from __future__ import annotations

import collections
import datetime
import io
import pickle
import pickletools
import random
import threading
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.files.hostile_pickles import PICKLES, program, table, tensor
from wmtui.errors import FormatError
from wmtui.files.pickle_graph import Bag, Call, Global, Node, Table, dict_items, path_of, string_items
from wmtui.files.pickle_machine import OTHERS
from wmtui.files.pickle_reader import Truncated, read_pickle
from wmtui.files.torch_tensors import tensor_of
from wmtui.files.unwrap import find_weights

Scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
Values = st.recursive(
    Scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.frozensets(st.integers() | st.text())
        | st.sets(st.integers())
        | st.binary().map(bytearray)
    ),
    max_leaves=30,
)


def plain(node: Node) -> Any:
    """A graph of plain values as the values themselves."""
    if isinstance(node, list):
        return [plain(child) for child in node]
    if isinstance(node, tuple):
        return tuple(plain(child) for child in node)
    if isinstance(node, Table):
        return {plain(key): plain(value) for key, value in node.items}
    if isinstance(node, Bag):
        if node.kind == "bytearray":
            return bytearray(plain(node.elements[0]))
        return (set if node.kind == "set" else frozenset)(plain(child) for child in node.elements)
    if isinstance(node, Call):
        args = plain(node.args)
        made = {"set": set, "frozenset": frozenset, "bytearray": bytearray, "bytes": bytes}.get(
            path_of(node.func).rpartition(".")[2]
        )
        if path_of(node.func) == "_codecs.encode":
            return args[0].encode(args[1])
        assert made is not None, path_of(node.func)
        if made is bytearray and len(args) == 2:
            return bytearray(args[0].encode(args[1]))
        return made(*args)
    return node


@settings(max_examples=300, deadline=None)
@given(value=Values, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_come_back_as_they_were(value, protocol):
    data = pickle.dumps(value, protocol)
    graph = read_pickle(data, "x")
    assert plain(graph.root) == value
    assert graph.end == len(data)


class Thing:
    """An object with attributes."""

    def __init__(self) -> None:
        self.size = 3
        self.me = self


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_objects_become_calls_that_remember_everything(protocol):
    filled = collections.OrderedDict(a=1, b=[1, 2])
    kept = [Thing(), filled, collections.defaultdict(list, x=[3]), Fraction(1, 3), datetime.date(2024, 1, 2), Thing]
    root = read_pickle(pickle.dumps(kept, protocol), "x").root
    assert isinstance(root, list)
    assert list(string_items(root[1])) == [("a", 1), ("b", [1, 2])]
    assert list(string_items(root[2])) == [("x", [3])]
    assert isinstance(root[5], Global)
    assert root[5].name == "Thing"
    attributes = dict(dict_items(root[0].state) or ())
    assert attributes["size"] == 3
    assert attributes["me"] is root[0]


def test_what_is_shared_in_a_pickle_is_one_node():
    shared = {"w": 1}
    root = read_pickle(pickle.dumps({"a": shared, "b": shared}), "x").root
    items = dict(dict_items(root) or ())
    assert items["a"] is items["b"]


def test_all_opcodes_of_python_are_known():
    common = {"q", "r", "h", "j", "K", "M", "(", "t", "\x85", "\x86", "\x87", "R", "X", "Q", ")", "\x89", "J", "\x94"}
    common |= {"\x8c", ".", "}", "]", "N", "\x88", "0"}
    known = {chr(code) for code in OTHERS} | common
    assert {opcode.code for opcode in pickletools.opcodes} == known


def test_a_pickle_that_is_cut_off_anywhere_is_cut_off():
    data = pickle.dumps({"a": [1, 2.5, "x" * 300, b"y", 1 << 80, (1, 2), None], "b": Thing()}, 4)
    old = pickle.dumps({"a": [1, 2.5, "x" * 300, 1 << 80, (1, 2), None], "b": Thing()}, 0)
    for whole in (data, old, program(table(w=tensor()))):
        for end in range(len(whole)):
            with pytest.raises(Truncated):
                read_pickle(whole[:end], "x")


def test_pickles_stand_one_after_another_in_a_stream():
    held = io.BytesIO()
    for value in (1, {"a": 2}, [3]):
        pickle.dump(value, held, 2)
    first = read_pickle(held.getvalue(), "x")
    second = read_pickle(held.getvalue(), "x", first.end)
    assert (first.root, dict_items(second.root)) == (1, [("a", 2)])
    assert read_pickle(held.getvalue(), "x", second.end).root == [3]


def explore(data: bytes) -> None:
    """What opening a file does with a pickle; only errors of ours may come out."""
    try:
        graph = read_pickle(data, "x")
        found = find_weights(graph.root, "x")
    except FormatError:
        return
    for weights in found:
        for _, node, _ in weights.tensors:
            tensor_of(node)


def test_damaged_pickles_never_raise_anything_else():
    """Thirty thousand mutations of real programs, always the same ones."""
    chance = random.Random(7)
    seeds = [program(body) for body in PICKLES.values() if isinstance(body, bytes) and len(body) < 3000]
    seeds += [pickle.dumps([Thing(), {"a": 1.5}, {1, 2}], protocol) for protocol in range(6)]
    codes = [ord(opcode.code) for opcode in pickletools.opcodes]
    for _ in range(30_000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            what = chance.random()
            if what < 0.4:
                data[at] = chance.choice(codes)
            elif what < 0.6:
                data[at] = chance.randrange(256)
            elif what < 0.8:
                other = chance.choice(seeds)
                begin = chance.randrange(len(other))
                data[at:at] = other[begin : begin + chance.randint(1, 40)]
            else:
                del data[at : at + chance.randint(1, 8)]
            if not data:
                break
        explore(bytes(data))


def test_a_deep_graph_is_given_back_without_a_crash():
    """Freeing millions of nested objects must not overflow the stack, in a thread neither."""
    data = program(b"]" * 1_000_000 + b"a" * 999_999)
    done = []

    def work() -> None:
        explore(data)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done
