"""Tensors that are folded while a pickle is read: the same graph comes out of it, however odd the pickle is."""

import io
import pickle
import zipfile
from typing import Any

import pytest
import torch

from wmtui.files.folded import FoldedTensor
from wmtui.files.pickle_graph import Call, Graph
from wmtui.files.pickle_reader import read_pickle
from wmtui.files.torch_tensors import storages_of, tensor_of
from wmtui.files.writing.pickle_writer import write_pickle

HOOKS = b"ccollections\nOrderedDict\n)R"


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def arguments(key: str, hooks: bytes = HOOKS, pid: bytes = b"", shape: bytes = b"K\x04\x85") -> bytes:
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + b"K\x04t" + pid + b"Q"
    return b"(" + storage + b"K\x00" + shape + b"K\x01\x85\x89" + hooks + b"t"


def tensor(key: str, after: bytes = b"", **parts: bytes) -> bytes:
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments(key, **parts) + after + b"R"


class Made:
    """What an unpickler makes of anything that it does not know."""

    args: list[Any]

    def __new__(cls, *args: Any) -> "Made":
        made = super().__new__(cls)
        made.args = list(args)
        return made

    def __setitem__(self, key: Any, value: Any) -> None:
        self.args.append((key, value))

    def __setstate__(self, state: Any) -> None:
        self.args.append(("state", state))

    def append(self, value: Any) -> None:
        self.args.append(value)


class Loader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return type(name, (Made,), {"__module__": module})

    def persistent_load(self, pid: Any) -> Any:
        return Made("outside", pid)


def shown(value: Any, seen: dict[int, int]) -> Any:
    """A value as nested lists, in which an object that comes again is the number of its first time."""
    if isinstance(value, (dict, list, Made)):
        if id(value) in seen:
            return f"again {seen[id(value)]}"
        seen[id(value)] = len(seen)
    if isinstance(value, Made):
        return [type(value).__name__, *(shown(part, seen) for part in value.args)]
    if isinstance(value, dict):
        return [(shown(key, seen), shown(part, seen)) for key, part in value.items()]
    if isinstance(value, (list, tuple)):
        return [shown(part, seen) for part in value]
    return value.__name__ if isinstance(value, type) else value


def both(data: bytes) -> tuple[Graph, Graph]:
    """A pickle read without and with folding, which must mean the same when they are written again."""
    graphs = read_pickle(data, "x"), read_pickle(data, "x", fold=FoldedTensor)
    written = [bytes(write_pickle(graph.root, graph.protocol, lambda node: node)) for graph in graphs]
    assert meaning(written[1]) == meaning(written[0])
    return graphs


def meaning(data: bytes) -> Any:
    return shown(Loader(io.BytesIO(data)).load(), {})


def saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    with zipfile.ZipFile(file) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        return archive.read(name)


TIED = torch.ones(3, 4)
SAVED: dict[str, tuple[object, int]] = {
    "plain": ({f"layer.{i}": torch.ones(i, 3) for i in range(300)}, 300),
    "one object twice": ({"a": TIED, "b": TIED, "c": [TIED, TIED.t()]}, 2),
    "views": ({"a": TIED[1:], "b": TIED[:, 1], "c": TIED.flatten()}, 3),
    "parameters": ({"a": torch.nn.Parameter(TIED), "b": torch.nn.Parameter(TIED, requires_grad=False)}, 2),
    "trained": ({"a": torch.ones(2, requires_grad=True)}, 1),
    "types": ({name: torch.ones(4).to(getattr(torch, name)) for name in ("uint16", "float8_e5m2", "bfloat16")}, 3),
    "scalars and many dimensions": ([torch.tensor(1.0), torch.ones(1, 2, 1, 2, 1), torch.ones(0)], 3),
    "a conjugated view": ({"a": torch.ones(2, dtype=torch.complex64).conj(), "b": torch.ones(2)}, 1),
    "attributes": ({"a": torch.nn.Buffer(torch.ones(2))}, 0),
    "a module": (torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)), 7),
}


@pytest.mark.parametrize("name", SAVED)
def test_what_torch_saves_is_folded_and_means_the_same(name):
    value, count = SAVED[name]
    data = saved(value)
    plain, folded = both(data)
    assert meaning(bytes(write_pickle(folded.root, 2, lambda node: node))) == meaning(data)
    assert len(folded.folded) == count
    assert not plain.folded
    assert sorted(storages_of(plain)) == sorted(storages_of(folded))


ODD: dict[str, tuple[bytes, int]] = {
    "without a memo": (b"(" + tensor("0") + tensor("1") + b"t", 2),
    "what is kept is the tensor": (b"(" + tensor("0") + b"q\x00h\x00h\x00t", 1),
    "a tensor twice by DUP": (tensor("0") + b"2\x86", 1),
    "hooks that a second tensor has": (
        b"(" + tensor("0", hooks=HOOKS + b"q\x00") + tensor("1", hooks=b"h\x00") + b"t",
        0,
    ),
    "hooks from before": (b"(" + HOOKS + b"q\x00" + tensor("1", hooks=b"h\x00") + b"t", 0),
    "hooks that are filled afterwards": (
        b"(" + tensor("0", hooks=HOOKS + b"q\x00") + b"h\x00" + text("k") + b"K\x01st",
        0,
    ),
    "hooks that are filled before": (tensor("0", hooks=HOOKS + text("k") + b"K\x01s"), 0),
    "hooks remembered twice": (b"(" + tensor("0", hooks=HOOKS + b"q\x00q\x01") + b"h\x01t", 0),
    "hooks under a far number": (b"(" + tensor("0", hooks=HOOKS + b"q\x63") + b"h\x63t", 0),
    "arguments that something else has": (b"(" + tensor("0", b"q\x00") + b"h\x00t", 0),
    "a persistent id that comes again": (b"(" + tensor("0", pid=b"q\x00") + b"h\x00t", 0),
    "a shape that comes again": (b"(" + tensor("0", shape=b"K\x04\x85q\x00") + b"h\x00t", 1),
    "a state": (tensor("0") + b"}" + text("k") + b"K\x01sb", 0),
    "items": (tensor("0") + text("k") + b"K\x01s", 0),
    "elements": (tensor("0") + b"K\x01a", 0),
    "a shape of truth": (tensor("0", shape=b"\x88\x85"), 0),
    "a negative shape": (tensor("0", shape=b"J\xff\xff\xff\xff\x85"), 0),
    "a shape of another rank": (tensor("0", shape=b"K\x04K\x01\x86"), 0),
    "no hooks": (tensor("0", hooks=b"N"), 0),
    "thrown away": (tensor("0") + b"0K\x05", 1),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_pickles_mean_the_same_with_folding(name):
    body, count = ODD[name]
    _, folded = both(b"\x80\x02" + body + b".")
    assert len(folded.folded) == count


def test_alike_tensors_share_what_they_have_in_common_and_unfold_into_their_calls():
    graph = read_pickle(saved([torch.ones(2, 3), torch.ones(2, 3), torch.ones(3, 2)]), "x", fold=FoldedTensor)
    assert isinstance(graph.root, list)
    one, two, three = graph.root
    assert one.like is two.like is three.like
    assert one.view is two.view is not three.view
    assert (one.key, two.key, three.key) == ("0", "1", "2")
    call = one.unfolded()
    assert isinstance(call, Call)
    assert tensor_of(call) == tensor_of(one)


def test_the_tensor_of_a_pickle_is_folded_by_a_function_of_ones_own():
    seen = []

    def fold(like: Any, view: Any, key: str) -> FoldedTensor:
        seen.append((view.shape, key))
        return FoldedTensor(like, view, "")

    read_pickle(saved({"a": torch.ones(2), "b": torch.ones(3)}), "x", fold=fold)
    assert seen == [((2,), "0"), ((3,), "1")]
