"""Files of the oldest torch versions, made by hand or by its own legacy writer."""

from __future__ import annotations

import collections
import io
import pickle
import tarfile
import warnings

import torch

from tests.files.reading import rows, side, ties
from tests.files.zoo import Tied
from wmtui.core.side import SideSpec
from wmtui.files.open import open_side


def test_the_oldest_format_is_read(tmp_path):
    """A tar archive as torch wrote it before 0.1.10, made by hand: no torch of today writes it."""
    weight = torch.arange(6.0).reshape(2, 3)
    storages, tensors = io.BytesIO(), io.BytesIO()
    pickle.dump(1, storages, 2)
    pickle.dump((10, "cpu", torch.FloatStorage), storages, 2)
    storages.write((6).to_bytes(8, "little") + weight.numpy().tobytes())
    pickle.dump([], storages, 2)
    pickle.dump(2, tensors, 2)
    for key, shape, strides, offset in ((20, (2, 3), (3, 1), 0), (21, (3,), (1,), 3)):
        pickle.dump((key, 10, torch.FloatTensor), tensors, 2)
        tensors.write(len(shape).to_bytes(4, "little") + bytes(4))
        for number in (*shape, *strides, offset):
            tensors.write(number.to_bytes(8, "little"))

    class Saver(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            return value.key if isinstance(value, Reference) else None

    class Reference:
        def __init__(self, key: str) -> None:
            self.key = key

    pickled = io.BytesIO()
    Saver(pickled, 2).dump(collections.OrderedDict(w=Reference("20"), b=Reference("21"), tied=Reference("20")))
    with tarfile.open(tmp_path / "old.pt", "w") as archive:
        for name, data in (
            ("sys_info", b""),
            ("pickle", pickled.getvalue()),
            ("storages", storages.getvalue()),
            ("tensors", tensors.getvalue()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    from wmtui.files.tensors import read_tensor

    opened = open_side(SideSpec(str(tmp_path / "old.pt")))
    assert rows(opened.side.listing) == [("w", (2, 3), "float32"), ("b", (3,), "float32"), ("tied", (2, 3), "float32")]
    assert ties(opened.side.listing) == {"tied": "w"}
    assert read_tensor(opened.source, "b").tolist() == [3, 4, 5]
    loaded = torch.load(tmp_path / "old.pt", weights_only=False)
    assert loaded["w"].tolist() == read_tensor(opened.source, "w").tolist()


def test_models_of_the_legacy_format_bring_their_source_code_which_is_not_looked_at(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(Tied(), tmp_path / "m.pt", _use_new_zipfile_serialization=False)
    assert b"class Tied" in (tmp_path / "m.pt").read_bytes()
    assert side(tmp_path / "m.pt").listing.keys == tuple(Tied().state_dict())
