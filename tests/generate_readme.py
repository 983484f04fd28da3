"""Writes the generated parts of the README anew: ``python -m tests.generate_readme``."""

import re
from pathlib import Path

from wmtui.ui.actions import markdown_table

README = Path(__file__).parent.parent / "README.md"


def main() -> None:
    """Put the app's table of keys between its marks."""
    begin, end = "<!-- keys:begin (generated: make readme) -->\n", "<!-- keys:end -->"
    text = README.read_text("utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    README.write_text(pattern.sub(lambda _: begin + markdown_table().strip() + "\n" + end, text), "utf-8")


if __name__ == "__main__":
    main()
