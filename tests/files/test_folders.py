"""Shards, folders and distributed checkpoints."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.files.reading import rows, side, torch_rows
from tests.files.zoo import Buffers, Deep
from wmtui.core.ports import Progress
from wmtui.core.side import SideSpec
from wmtui.errors import Cancelled, ChoiceError, FormatError, InputError, MissingError, UnsafeError
from wmtui.files.open import open_side
from wmtui.files.tensors import describe, equal_values, read_tensor


def shards(folder: Path, state: dict[str, torch.Tensor], kind: str = "safetensors") -> Path:
    """A sharded checkpoint of two files; returns its index."""
    folder.mkdir(exist_ok=True)
    keys = list(state)
    half = len(keys) // 2
    weight_map: dict[str, str] = {}
    stem = "model" if kind == "safetensors" else "pytorch_model"
    for number, part in enumerate((keys[:half], keys[half:]), 1):
        name = f"{stem}-0000{number}-of-00002.{kind}"
        kept = {key: state[key].clone() for key in part}
        if kind == "safetensors":
            save_file(kept, folder / name)
        else:
            torch.save(kept, folder / name)
        weight_map |= dict.fromkeys(part, name)
    index = folder / f"{stem}.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 123}, "weight_map": weight_map}))
    return index


STATE = Deep().state_dict()


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_are_one_listing_by_folder_and_by_index(tmp_path, kind):
    index = shards(tmp_path / "m", STATE, kind)
    for location in (index, tmp_path / "m"):
        found = side(location)
        assert rows(found.listing) == torch_rows(STATE)
        assert found.name == location.name
        assert "2 shards" in found.format
    assert {spec.where for spec in found.listing} == {path.name for path in (tmp_path / "m").glob(f"*.{kind}")}
    assert found.nbytes == sum(path.stat().st_size for path in (tmp_path / "m").glob(f"*.{kind}"))
    assert dict(found.contents.items)["total_size"].text == "123"
    source = open_side(SideSpec(str(index))).source
    for key in (next(iter(STATE)), list(STATE)[-1]):
        assert torch.equal(torch.tensor(read_tensor(source, key)), STATE[key])


def test_opening_shards_tells_how_far_it_is_and_can_be_stopped(tmp_path):
    index = shards(tmp_path / "m", STATE)
    told: list[Progress] = []
    open_side(SideSpec(str(index)), progress=told.append)
    assert [(step.done, step.total) for step in told] == [(0, 2), (1, 2)]

    def stop(step: Progress) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        open_side(SideSpec(str(index)), progress=stop)


def test_a_missing_shard_is_named(tmp_path):
    index = shards(tmp_path / "m", STATE)
    (tmp_path / "m" / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(MissingError, match=r"model-00002-of-00002\.safetensors does not exist"):
        side(index)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.safetensors", "a/../../x", "..\\x", "C:\\x", "", "a\0b", "."])
def test_a_shard_outside_of_the_folder_is_refused(tmp_path, name):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(InputError, match=r"outside of its folder|is a folder"):
        side(index)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 3}}', '{"weight_map": {}}', "{}"]
)
def test_a_broken_index_is_refused(tmp_path, text):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text)
    with pytest.raises(FormatError, match="index"):
        side(index)


def test_an_index_and_its_shards_must_be_of_one_checkpoint(tmp_path):
    index = shards(tmp_path / "m", STATE)
    read = json.loads(index.read_text())
    read["weight_map"]["not.there"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(read))
    with pytest.raises(FormatError, match=r"lacks 'not\.there'"):
        side(index)


def test_what_the_index_does_not_name_is_listed_with_a_note(tmp_path):
    index = shards(tmp_path / "m", STATE)
    read = json.loads(index.read_text())
    gone = next(iter(read["weight_map"]))
    del read["weight_map"][gone]
    index.write_text(json.dumps(read))
    found = side(index)
    assert gone in found.listing
    assert gone in found.notes[0]


def test_one_key_in_two_shards_is_refused(tmp_path):
    for kind in ("safetensors", "bin"):
        index = shards(tmp_path / kind, STATE, kind)
        first, second = sorted((tmp_path / kind).glob(f"*.{kind}"))
        second.write_bytes(first.read_bytes())
        read = json.loads(index.read_text())
        keys = [key for key, name in read["weight_map"].items() if name == first.name]
        index.write_text(json.dumps({"weight_map": dict.fromkeys(keys[1:], first.name) | {keys[0]: second.name}}))
        with pytest.raises(FormatError, match="is in"):
            side(index)


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        if name.endswith(".safetensors"):
            save_file({name: torch.zeros(2)}, path / name)
        else:
            torch.save({name: torch.zeros(2)}, path / name)
    return path


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("model.safetensors", "pytorch_model.bin"), "model.safetensors"),
        (("pytorch_model.bin", "training_args.bin"), "pytorch_model.bin"),
        (("diffusion_pytorch_model.safetensors",), "diffusion_pytorch_model.safetensors"),
        (("adapter_model.safetensors", "optimizer.pt"), "adapter_model.safetensors"),
        (("consolidated.safetensors", "consolidated.00.pth"), "consolidated.safetensors"),
        (("weights.safetensors", "a.bin", "b.bin"), "weights.safetensors"),
        (("net.pth",), "net.pth"),
        (("last.ckpt",), "last.ckpt"),
    ],
)
def test_a_folder_is_the_checkpoint_in_it(tmp_path, names, chosen):
    found = side(folder(tmp_path / "m", *names))
    assert found.listing.keys == (chosen,)
    assert found.name == "m"


def test_what_is_left_aside_in_a_folder_is_said(tmp_path):
    shards(tmp_path, STATE)
    assert side(tmp_path).notes == ()
    for name in ("optimizer.pt", "adapter_model.safetensors", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (note,) = side(tmp_path).notes
    assert note == "other files in the folder are not part of it: adapter_model.safetensors, optimizer.pt"
    assert side(tmp_path / "model.safetensors.index.json").notes == ()


def test_of_several_files_one_must_be_named(tmp_path):
    with pytest.raises(ChoiceError) as caught:
        side(folder(tmp_path / "m", "a.pt", "b.pt"))
    assert caught.value.choices == ("a.pt", "b.pt")


def test_a_folder_without_weights_says_where_else_to_look(tmp_path):
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match="holds no checkpoint") as caught:
        side(tmp_path)
    assert "sub" in caught.value.remedy


def test_a_link_to_a_file_is_the_file(tmp_path):
    folder(tmp_path / "m", "model.safetensors")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "m" / "model.safetensors")
    assert side(tmp_path / "link.safetensors").listing.keys == ("model.safetensors",)


def save_distributed(path: Path) -> tuple[Buffers, dict[str, Any]]:
    """A real checkpoint of a model and its optimizer, named by parameter as FSDP does it."""
    from torch.distributed.checkpoint.state_dict import get_state_dict
    from torch.distributed.checkpoint.state_dict_saver import save as save_checkpoint

    torch.manual_seed(0)
    model = Buffers()
    optimizer = torch.optim.Adam(model.parameters())
    torch.stack([parameter.sum() for parameter in model.parameters()]).sum().backward()
    optimizer.step()
    weights, states = get_state_dict(model, optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_checkpoint({"model": weights, "optimizer": states, "step": 3}, checkpoint_id=path, no_dist=True)
    return model, weights


@pytest.fixture(scope="module")
def distributed(tmp_path_factory):
    path = tmp_path_factory.mktemp("dcp") / "step-3"
    return path, *save_distributed(path)


def test_a_distributed_checkpoint_is_listed_from_its_metadata_alone(distributed, tmp_path):
    path, _, weights = distributed
    found = side(path)
    assert rows(found.listing) == torch_rows(weights)
    assert (found.format, found.weights_key) == ("distributed checkpoint", "model")
    assert dict(found.weights_keys) == {"model": len(weights)}
    assert "optimizer" in dict(found.contents.items)
    assert side(path / ".metadata").listing.keys == found.listing.keys


def test_the_optimizer_of_a_distributed_checkpoint_can_be_asked_for(distributed):
    path, _, _ = distributed
    assert set(side(path, weights_key="optimizer.state.conv.weight").listing.keys) == {"step", "exp_avg", "exp_avg_sq"}


def test_the_data_of_a_distributed_checkpoint_are_read(distributed, tmp_path):
    path, model, weights = distributed
    torch.save(weights, tmp_path / "w.pt")
    opened, plain = open_side(SideSpec(str(path))), open_side(SideSpec(str(tmp_path / "w.pt")))
    for spec in opened.side.listing:
        assert equal_values(opened.source, spec.key, plain.source, spec.key), spec.key
    assert describe(opened.source, opened.side.listing["conv.weight"]).numel == model.conv.weight.numel()


@pytest.mark.filterwarnings("ignore:Please use DTensor")
def test_a_tensor_in_several_chunks_is_put_together(tmp_path):
    """Two processes wrote it; here one process writes both halves, as the planner would."""
    from torch._C._distributed_c10d import HashStore
    from torch.distributed._shard.metadata import ShardMetadata
    from torch.distributed._shard.sharded_tensor.api import ShardedTensor
    from torch.distributed._shard.sharded_tensor.metadata import ShardedTensorMetadata, TensorProperties
    from torch.distributed._shard.sharded_tensor.shard import Shard
    from torch.distributed.checkpoint.state_dict_saver import save as save_checkpoint

    whole = torch.arange(24.0).reshape(6, 4)
    torch.distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        pieces = [
            Shard(whole[begin:end].clone(), ShardMetadata([begin, 0], [end - begin, 4], "rank:0/cpu"))
            for begin, end in ((0, 2), (2, 6))
        ]
        metadata = ShardedTensorMetadata(
            [piece.metadata for piece in pieces], whole.size(), TensorProperties(dtype=torch.float32)
        )
        spread = ShardedTensor._init_from_local_shards_and_global_metadata(pieces, metadata)
        save_checkpoint({"w": spread}, checkpoint_id=tmp_path / "c")
        torch.save({"w": spread, "plain": torch.zeros(2)}, tmp_path / "w.pt")
    finally:
        torch.distributed.destroy_process_group()
    opened = open_side(SideSpec(str(tmp_path / "c")))
    assert rows(opened.side.listing) == [("w", (6, 4), "float32")]
    assert len(opened.source.pieces("w")) == 2
    assert read_tensor(opened.source, "w").tolist() == whole.tolist()
    assert describe(opened.source, opened.side.listing["w"]).maximum == 23
    with pytest.raises(InputError, match="2 chunks"):
        opened.source.place("w")
    pickled = side(tmp_path / "w.pt").listing["w"]
    assert (pickled.shape, pickled.type_name) == ((6, 4), "ShardedTensor")


def test_a_data_file_that_is_not_there_is_named(tmp_path):
    save_distributed(tmp_path / "c")
    (tmp_path / "c" / "__0_0.distcp").unlink()
    with pytest.raises(MissingError, match=r"__0_0\.distcp does not exist"):
        side(tmp_path / "c")


def test_a_data_file_outside_of_the_folder_is_refused(tmp_path):
    save_distributed(tmp_path / "c")
    metadata = tmp_path / "c" / ".metadata"
    metadata.write_bytes(metadata.read_bytes().replace(b"__0_0.distcp", b"../../passwd"))
    with pytest.raises(UnsafeError, match="outside of its folder"):
        side(tmp_path / "c")


def test_metadata_of_something_else_is_refused(tmp_path):
    (tmp_path / ".metadata").write_bytes(b"\x80\x04}.")
    with pytest.raises(FormatError, match="no metadata of a distributed checkpoint"):
        side(tmp_path)
