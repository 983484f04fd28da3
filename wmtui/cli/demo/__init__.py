"""``wmtui demo``: makes an old checkpoint and a refactored model, then does the main job on them."""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from pathlib import Path

from wmtui.cli.exits import Exit
from wmtui.errors import OutputExistsError, WriteError

CHECKPOINT = "old_model.pth"
MODEL = "new_model.py"
OUTPUTS = {"--mapping": "mapping.json", "--report": "report.json", "--output": "new_model.pth"}


def run(args: argparse.Namespace) -> int:
    """Make the pair; review it where there is a terminal, else map it and prove that the result loads."""
    from wmtui.cli.main import parser

    folder = Path(args.folder)
    screen = sys.stdin.isatty() and sys.stdout.isatty()
    if args.force or not (screen and (folder / CHECKPOINT).exists()):  # a review goes on where it was left
        make_pair(folder, force=args.force)
    words = [str(folder / CHECKPOINT), f"{folder / MODEL}:NewModel", "--force"]
    for option, name in OUTPUTS.items():
        words += [option, str(folder / name)]
    if screen:
        from wmtui.cli import review

        return review.run(parser().parse_args(["review", *words]))
    from wmtui.cli import map as mapping

    status = mapping.run(parser().parse_args(["map", *words]))
    if status == Exit.DONE:
        difference = largest_difference(folder)
        print(f"The renamed checkpoint loads with strict=True; outputs differ by at most {difference:g}.")
    return status


def make_pair(folder: Path, *, force: bool) -> None:
    """Write the old model's training checkpoint and the new model's code into a folder.

    Raises:
        OutputExistsError: a pair is there already and ``force`` is not set.
        WriteError: the folder cannot be written.
    """
    import torch

    from wmtui.cli.demo.old_model import OldModel
    from wmtui.files.atomic import write_bytes

    if (folder / CHECKPOINT).exists() and not force:
        raise OutputExistsError(
            f"{folder / CHECKPOINT} is there already", "Give --force to replace it, or another --folder."
        )
    torch.manual_seed(0)
    model = OldModel()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    checkpoint = {
        "epoch": 12,
        "state_dict": {f"module.{key}": value for key, value in model.state_dict().items()},
        "optimizer": optimizer.state_dict(),
        "hyper_parameters": {"width": 64, "heads": 4, "layers": 4, "lr": 0.1},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()
        torch.save(checkpoint, data)
        write_bytes(folder / CHECKPOINT, data.getvalue())
        shutil.copyfile(Path(__file__).with_name(MODEL), folder / MODEL)
    except OSError as error:
        raise WriteError(
            f"{folder} cannot be written: {error.strerror or error}", "Choose another --folder."
        ) from error


def largest_difference(folder: Path) -> float:
    """Load the renamed checkpoint with ``strict=True`` and compare the new model's output with the old one's."""
    import torch

    from wmtui.cli.demo.new_model import NewModel
    from wmtui.cli.demo.old_model import OldModel

    old, new = OldModel().eval(), NewModel().eval()
    before = torch.load(folder / CHECKPOINT, weights_only=True)["state_dict"]
    after = torch.load(folder / OUTPUTS["--output"], weights_only=True)["state_dict"]
    old.load_state_dict({key.removeprefix("module."): value for key, value in before.items()})
    new.load_state_dict(after, strict=True)
    image, tokens = torch.randn(2, 3, 32, 32), torch.randint(500, (2, 7))
    with torch.no_grad():
        difference: torch.Tensor = (old(image, tokens) - new(image, tokens)).abs().max()
    return float(difference)
