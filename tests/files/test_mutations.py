"""Real files of every format, damaged at random (always alike): whatever happens, only errors of ours come out."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from tests.files.hostile import PARTLY, distributed
from tests.files.hostile_archives import GOOD, archive, checkpoint, legacy
from tests.files.reading import side
from wmtui.core.side import SideSpec
from wmtui.errors import WmtuiError
from wmtui.files.listing_json import listing_to_json
from wmtui.files.open import open_side
from wmtui.files.tensors import describe, read_tensor


def torch_file(kept: object, legacy: bool) -> bytes:
    held = io.BytesIO()
    torch.save(kept, held, _use_new_zipfile_serialization=not legacy)
    return held.getvalue()


def seeds(folder: Path) -> list[tuple[str, bytes]]:
    """Names of files and their undamaged contents."""
    state = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).state_dict()
    kept = {"model": state, "epoch": 3, "note": "x"}
    safetensors = save({key: value.clone() for key, value in state.items()}, {"a": "b"})
    (folder / "w.pt").write_bytes(torch_file(kept, False))
    listing = listing_to_json(side(folder / "w.pt").listing).encode()
    torch_files = [GOOD, legacy(), torch_file(kept, False), torch_file(kept, True), *PARTLY.values()]
    torch_files.append(archive(checkpoint(), 8))
    return [
        *(("w.pt", data) for data in torch_files),
        *[("w.safetensors", safetensors)] * 8,
        *[(".metadata", distributed("x"))] * 2,
        *[("l.json", listing)] * 2,
        ("m.safetensors.index.json", b'{"metadata": {}, "weight_map": {"a": "x"}}'),
    ]


def damaged(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(made)) if made else 0
        what = chance.random()
        if what < 0.5:
            made[at : at + 1] = bytes([chance.randrange(256)])
        elif what < 0.6:
            made[at : at + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f"))
        elif what < 0.75:
            del made[at : at + chance.randint(1, 30)]
        elif what < 0.9:
            made[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 9)))
        else:
            del made[at:]
    return bytes(made)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_refused_or_read_in_part(tmp_path, seed):
    chance = random.Random(seed)
    files = seeds(tmp_path)
    (tmp_path / "x").write_bytes(GOOD)
    opened = 0
    said = []
    for _ in range(1000):
        name, data = chance.choice(files)
        path = tmp_path / name
        path.write_bytes(damaged(data, chance))
        try:
            found, source = open_side(SideSpec(str(tmp_path if name == ".metadata" else path)))
            opened += 1
            for spec in found.listing.tensors[:3]:
                describe(source, spec)
                read_tensor(source, spec.key)
        except WmtuiError as error:
            said.append(error.message)
        path.unlink()
    assert all(said)
    assert 20 < opened < 980
