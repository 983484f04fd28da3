"""The options of all commands, in groups that commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from wmtui.errors import InputError

if TYPE_CHECKING:
    from wmtui.core.scores import ScoreWeights

COMMANDS = ("review", "map", "inspect", "apply", "demo")
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
SIDE = (
    "a checkpoint file or folder, a shard index, a listing, or a model as package.module:factory or file.py:Class "
    "(a model's code runs)"
)


def add_review(commands: Commands) -> None:
    command = _command(commands, "review", "review a mapping in the terminal and save it")
    _add_sides(command)
    _add_matching(command)
    _add_outputs(command)
    command.add_argument("--afresh", action="store_true", help="do not resume earlier decisions on this pair")


def add_map(commands: Commands) -> None:
    command = _command(commands, "map", "map without a screen")
    _add_sides(command)
    _add_matching(command)
    _add_outputs(command)
    command.add_argument("--json", action="store_true", help="print the report to standard output")
    command.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")
    command.add_argument(
        "--strict", action="store_true", help="exit with 1 where a target key is left without a source"
    )


def add_inspect(commands: Commands) -> None:
    command = _command(commands, "inspect", "look into a checkpoint or model")
    command.add_argument("side", type=_path, metavar="X", help=SIDE)
    _add_one_side(command)
    command.add_argument("--json", action="store_true", help="print the listing to standard output")
    command.add_argument("--plain", action="store_true", help="print the table even where there is a terminal")
    command.add_argument("--check", action="store_true", help="look for NaN and infinity in all tensors")
    command.add_argument("--diff", type=_path, metavar="Y", help="compare with another checkpoint or model")
    command.add_argument("--values", action="store_true", help="with --diff, compare the values too")


def add_apply(commands: Commands) -> None:
    command = _command(commands, "apply", "rename a checkpoint by a mapping or a report")
    command.add_argument(
        "mapping", type=_path, metavar="MAPPING", help="a mapping {source key: target key} or a report"
    )
    command.add_argument("checkpoint", type=_path, metavar="CKPT", help="the checkpoint file or folder")
    command.add_argument("-o", "--output", type=_path, metavar="OUT", required=True, help="the renamed checkpoint")
    command.add_argument("--target", type=_path, help="check the result against this model or checkpoint")
    command.add_argument("--target-args", action="append", default=[], metavar="NAME=VALUE", help="for a target model")
    command.add_argument("--weights-key", metavar="KEY", help="the dictionary of weights, where there are several")
    command.add_argument("--input", action="append", default=[], metavar="SHAPE", help="for --source-model")
    command.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")
    _add_writing(command, unmapped="keep")


def add_demo(commands: Commands) -> None:
    command = _command(commands, "demo", "try it on a small pair that is made for it")
    command.add_argument("--folder", default="wmtui-demo", help="where to put the pair and the outputs (%(default)s)")
    command.add_argument("--force", action="store_true", help="replace an earlier demo in that folder")


def options_with_value() -> Iterator[str]:
    """The options of review and inspect that take a value, as they are written."""
    top = Parser()
    commands = top.add_subparsers()
    add_review(commands)
    add_inspect(commands)
    for command in commands.choices.values():
        for action in command._actions:
            if action.nargs != 0:
                yield from action.option_strings


def _command(commands: Commands, name: str, title: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=title, description=title[0].upper() + title[1:] + ".")
    command.add_argument("--debug", action="store_true", help="show tracebacks")
    return command


def _add_one_side(command: argparse.ArgumentParser) -> None:
    command.add_argument("--weights-key", metavar="KEY", help="the dictionary of weights, where there are several")
    command.add_argument("--prefix", default="", help="only the keys below this prefix")
    command.add_argument("--buffers", choices=("include", "exclude"), default="include", help="(%(default)s)")
    command.add_argument("--args", action="append", default=[], metavar="NAME=VALUE", help="arguments of a model")


def _add_sides(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", type=_path, metavar="SOURCE", help=SIDE)
    command.add_argument("target", type=_path, metavar="TARGET", help="likewise")
    sides = command.add_argument_group("sides")
    sides.add_argument("--weights-key", metavar="KEY", help="the source's dictionary of weights, if several")
    sides.add_argument("--target-weights-key", metavar="KEY", help="likewise for the target")
    sides.add_argument("--source-prefix", default="", metavar="PREFIX", help="only the source keys below it")
    sides.add_argument("--target-prefix", default="", metavar="PREFIX", help="likewise for the target")
    sides.add_argument("--buffers", choices=("include", "exclude"), default="include", help="(%(default)s)")
    arguments = "NAME=VALUE, values are Python literals, else text; or @FILE.json; repeatable"
    sides.add_argument("--source-args", action="append", default=[], metavar="ARG", help=arguments)
    sides.add_argument("--target-args", action="append", default=[], metavar="ARG", help=arguments)
    sides.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="SHAPE",
        help="dummy input for the execution order, 1x3x224x224 or 1x128:int64; repeatable",
    )


def _add_matching(command: argparse.ArgumentParser) -> None:
    matching = command.add_argument_group("matching")
    matching.add_argument(
        "--strategy", choices=("best_match", "conservative", "shape_only"), default="best_match", help="(%(default)s)"
    )
    matching.add_argument("--threshold", type=_share, metavar="S", help="least documented score, 0 to 1")
    matching.add_argument("--confidence", type=_share, metavar="C", help="least confidence, 0 to 1")
    matching.add_argument(
        "--weights", type=_weights, metavar="W", help="of the documented score: shape=.5,name=.3,hierarchy=.2"
    )
    matching.add_argument(
        "--shape-tolerance", type=_tolerance, default=0.0, metavar="T", help="relative, per dimension (%(default)s)"
    )
    matching.add_argument("--mapping-in", type=_path, metavar="FILE", help="a mapping or report to start from")


def _add_outputs(command: argparse.ArgumentParser) -> None:
    outputs = command.add_argument_group("outputs")
    outputs.add_argument("--mapping", type=_path, metavar="FILE", help="write the mapping {source key: target key}")
    outputs.add_argument("--report", type=_path, metavar="FILE", help="write the report")
    outputs.add_argument("--output", type=_path, metavar="CKPT", help="write the renamed checkpoint")
    _add_writing(outputs, unmapped="drop")


def _add_writing(group: argparse._ActionsContainer, unmapped: str) -> None:
    group.add_argument(
        "--unmapped",
        choices=("keep", "drop"),
        default=unmapped,
        help="what becomes of source keys without a target (%(default)s)",
    )
    group.add_argument("--format", choices=("source", "safetensors", "torch"), default="source", help="(%(default)s)")
    group.add_argument("--shard-size", type=_size, metavar="SIZE", help="split into files of at most 5GB, 500MB, ...")
    group.add_argument(
        "--also", action="append", default=[], metavar="KEY", help="rename this dictionary too (an EMA copy)"
    )
    group.add_argument("--optimizer", action="store_true", help="rename optimizer state that is kept by name")
    group.add_argument("--verify", action="store_true", help="compare a digest of every tensor after writing")
    group.add_argument("--strict-load", action="store_true", help="load the result into the target model")
    group.add_argument(
        "--source-model",
        metavar="MODEL",
        help="with --strict-load and --input, run both models and compare what they give",
    )
    group.add_argument("--force", action="store_true", help="replace outputs that exist")


class Parser(argparse.ArgumentParser):
    """A parser that names the mistake alone: the usage of a command with 30 options would push it off the screen."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n{self.prog} --help tells its options\n")


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("nothing is named")
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _tolerance(text: str) -> float:
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _weights(text: str) -> ScoreWeights:
    from wmtui.core.scores import score_weights

    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{value!r} is not a number") from None
    try:
        return score_weights(weights)
    except InputError as e:
        raise argparse.ArgumentTypeError(f"{e.message}; {e.remedy}") from None


def _size(text: str) -> int:
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "": 1}
    number = text.upper().rstrip("KMGTB")
    unit = text.upper()[len(number) :]
    try:
        size = int(float(number) * units[unit])
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 5GB or 500MB") from None
    if size <= 0:
        raise argparse.ArgumentTypeError("a shard needs some bytes")
    return size
