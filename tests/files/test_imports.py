"""Opening a file imports no torch, whatever is in it."""

from __future__ import annotations

import subprocess
import sys
import warnings

import torch
from safetensors.torch import save_file

from tests.files.zoo import Tied

PROBE = """
import sys
from wmtui.core.side import SideSpec
from wmtui.files.open import open_side
from wmtui.files.tensors import describe
for path in sys.argv[1:]:
    side, source = open_side(SideSpec(path))
    assert len(side.listing) > 1, path
    describe(source, side.listing.tensors[0])
print(sorted({"torch", "textual", "rich", "scipy", "tests"} & set(sys.modules)))
"""


def test_no_file_needs_torch_to_be_read(tmp_path):
    model = Tied()
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    save_file(kept, tmp_path / "w.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(model, tmp_path / "m.pt")
        torch.save({"model": kept}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
        torch.jit.script(model).save(str(tmp_path / "s.pt"))
    paths = [str(tmp_path / name) for name in ("w.safetensors", "m.pt", "old.pt", "s.pt")]
    done = subprocess.run([sys.executable, "-c", PROBE, *paths], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
