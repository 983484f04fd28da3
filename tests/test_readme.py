"""The README tells what is true: keys, options, pictures."""

import re
from pathlib import Path

from wmtui.cli.main import parser
from wmtui.ui.actions import markdown_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_the_table_of_keys_is_that_of_the_app():
    written = README.partition("<!-- keys:begin (generated: make readme) -->\n")[2].partition("<!-- keys:end -->")[0]
    assert written.strip() == markdown_table().strip()


def test_every_option_that_is_named_exists():
    helped = ""
    for action in parser()._actions:
        for command in (action.choices or {}).values() if isinstance(action.choices, dict) else ():
            helped += command.format_help()
    for option in sorted(set(re.findall(r"`(--[a-z-]+)", README))):
        assert option in helped, option


def test_every_picture_is_there():
    for picture in re.findall(r"\]\((screenshots/[^)]+)\)", README):
        assert (ROOT / picture).stat().st_size > 1000, picture
