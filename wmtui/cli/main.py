"""The entry point: picks the command, and turns errors into lines and exit codes."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from wmtui import __version__
from wmtui.cli import arguments
from wmtui.cli.exits import Exit
from wmtui.errors import Cancelled, WmtuiError

DESCRIPTION = """\
Map the parameters of one PyTorch checkpoint or model onto another whose names differ.

  wmtui SOURCE TARGET          review the mapping in the terminal, then save it
  wmtui map SOURCE TARGET      the same without a screen
  wmtui inspect X              look into a checkpoint
  wmtui apply MAPPING CKPT     rename a checkpoint by a mapping or a report
  wmtui demo                   try it on a small pair

SOURCE and TARGET are checkpoints (.safetensors, .pt, .pth, .ckpt, .bin, a shard index, a folder), listings
(wmtui inspect X --json), or models as package.module:factory or file.py:Class.
"""
EPILOG = """\
Nothing in a checkpoint file is ever executed. A model given as package.module:factory or file.py:Class is your
code, and it does run: it is imported and called to learn its parameters.

exit codes: 0 done, 1 done but something is open (--strict, --strict-load, --check), 2 bad input or usage,
3 the write failed, 130 interrupted. wmtui COMMAND --help tells a command's options.
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = arguments.Parser(
        prog="wmtui", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"wmtui {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    arguments.add_review(commands)
    arguments.add_map(commands)
    arguments.add_inspect(commands)
    arguments.add_apply(commands)
    arguments.add_demo(commands)
    return top


def with_command(argv: Sequence[str]) -> list[str]:
    """The arguments with the command that goes without saying: review for two sides, inspect for one."""
    if not argv or argv[0] in (*arguments.COMMANDS, "-h", "--help", "--version"):
        return list(argv)
    given, values = 0, set(arguments.options_with_value())
    rest = iter(argv)
    for word in rest:
        if word in values:
            next(rest, None)
        elif not word.startswith("-"):
            given += 1
    return ["inspect" if given == 1 else "review", *argv]


def run(argv: Sequence[str]) -> int:
    """Run the command line with these arguments and return the exit status."""
    try:
        args = parser().parse_args(with_command(argv))
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        return int(_command(args.command)(args))
    except Cancelled as stopped:
        _say(stopped.message)
        return Exit.INTERRUPTED
    except WmtuiError as error:
        if args.debug:
            raise
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _say("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is wrong, and nobody listens any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except MemoryError:
        _say("there is not enough memory for this\nClose something else, or map a listing made on a larger machine.")
        return Exit.BAD_INPUT


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    # Imported when called: `wmtui --help` must load neither torch nor textual.
    module = importlib.import_module(f"wmtui.cli.{name}")
    command: Callable[[argparse.Namespace], int] = module.run
    return command


def _say(text: str) -> None:
    from wmtui.ui.text import safe

    print("wmtui: " + "\n".join(safe(line) for line in text.splitlines()), file=sys.stderr)
