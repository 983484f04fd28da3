"""The views that are trees: modules by segment, and what a file holds besides its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wmtui.core.inspection import Total, totals
from wmtui.core.outline import Node, Outline, contents_outline, left_out, module_outline
from wmtui.core.printable import plural
from wmtui.core.side import Side
from wmtui.core.table import Order, TemplateTable
from wmtui.ui.inspect.views import CLOSED, INDENT, OPEN, TensorView, View
from wmtui.ui.lines import Part
from wmtui.ui.text import bytes_text, clip, count_text, shorten, width
from wmtui.ui.theme import Palette


class TreeView(TensorView):
    """The tree of modules, of what the table's filter shows."""

    name = "tree"
    _FEW = 60

    def __init__(self, table: TemplateTable) -> None:
        super().__init__(table.listing)
        self.table = table
        self._totals: dict[str, Total] = {}
        self._outline: Outline | None = None

    @property
    def outline(self) -> Outline:
        """The tree, made when it is first looked at."""
        if self._outline is None:
            table = self.table
            self._outline = module_outline(self.listing, table.shown_places(), table.order is Order.NAME)
            if table.filtered:
                self._open_few(self._outline)
        return self._outline

    def forget(self) -> None:
        """The table shows something else now."""
        self._outline = None
        self._totals.clear()

    def _open_few(self, outline: Outline) -> None:
        place = 0
        while place < len(outline.rows) < self._FEW:
            outline.toggle(place, True)
            place += 1

    def reveal(self, key: str) -> int:
        """Open what is above a key; its row, or -1 where the filter leaves it out."""
        outline = self.outline
        place = 0
        while place < len(outline.rows):
            node = outline.rows[place]
            if node.path == key and not node.opens:
                return place
            if node.opens and key.startswith(node.path):
                outline.toggle(place, True)
            place += 1
        return -1

    def count(self) -> int:
        return len(self.outline.rows)

    def title(self) -> str:
        table = self.table
        shown = plural(len(table.listing), "tensor")
        facts = [f"{table.shown_count:,} of {shown}" if table.filtered else shown, "by module"]
        return "  ".join([*facts, f"/{clip(table.text, 30)}"] if table.text else facts)

    def empty(self) -> str:
        return "no key fits the search: Esc clears it" if self.table.filtered else "there are no tensors"

    def row(self, place: int, cells: int, looks: Palette) -> Iterable[Part]:
        node = self.outline.rows[place]
        sign = INDENT * node.depth + (OPEN if node.is_open else CLOSED if node.opens else INDENT)
        sign = sign[: max(2, cells // 2)]
        name = node.name or "(empty name)"
        if not node.opens:
            spec = self.listing.tensors[node.places[0]]
            facts = self.columns(name, spec, spec.nbytes, "", cells - 2 - len(sign), looks)
        else:
            facts = self.columns(
                name, None, self.total(node).nbytes, f"x{len(node.places)}", cells - 2 - len(sign), looks
            )
        return [self.mark(node.places, looks), (sign, None), *facts]

    def total(self, node: Node) -> Total:
        """Elements and bytes of a module."""
        if node.path not in self._totals:
            tensors = self.listing.tensors
            found = totals((tensors[place] for place in node.places), lambda _: node.path)
            self._totals[node.path] = found[0]
        return self._totals[node.path]

    def about_several(self, place: int) -> str:
        total = self.total(self.outline.rows[place])
        return f"{plural(total.tensors, 'tensor')}  {count_text(total.numel)} elements  {bytes_text(total.nbytes)}"

    def text_of(self, place: int) -> str:
        node = self.outline.rows[place]
        return node.path.removesuffix(".") if node.opens else node.path

    def places(self, place: int) -> Sequence[int]:
        return self.outline.rows[place].places

    def toggle(self, place: int, is_open: bool | None) -> int:
        return _toggle(self.outline, place, is_open)

    def toggle_all(self) -> None:
        opened = any(node.is_open for node in self.outline.rows)
        for place in range(len(self.outline.rows) - 1, -1, -1):
            self.outline.toggle(place, not opened)


class ContentsView(View):
    """Everything else in the file."""

    name = "contents"

    def __init__(self, side: Side) -> None:
        super().__init__()
        self.outline = contents_outline(side)
        self._entries = sum(node.depth == 0 for node in self.outline.rows)

    def count(self) -> int:
        return len(self.outline.rows)

    def badge(self) -> str:
        return str(self._entries or "")

    def title(self) -> str:
        return "what the file holds besides its tensors"

    def empty(self) -> str:
        return "nothing besides the tensors"

    def row(self, place: int, cells: int, looks: Palette) -> Iterable[Part]:
        node = self.outline.rows[place]
        assert node.content is not None
        sign = INDENT * min(node.depth, cells // 4) + (OPEN if node.is_open else CLOSED if node.opens else INDENT)
        name = shorten(node.name, max(8, cells // 2)) or "(empty name)"
        missing = left_out(node.content) if node.is_open else 0
        more = f"  ({missing:,} more not shown)" if missing else ""
        value = clip(node.content.text + more, max(4, cells - len(sign) - width(name) - 2))
        return [(sign + name + "  ", None), (value, looks.muted)]

    def text_of(self, place: int) -> str:
        return self.outline.rows[place].name

    def about(self, place: int) -> str:
        content = self.outline.rows[place].content
        return content.text if content is not None else ""

    def toggle(self, place: int, is_open: bool | None) -> int:
        return _toggle(self.outline, place, is_open)

    def toggle_all(self) -> None:
        opened = any(node.is_open for node in self.outline.rows)
        for place in range(len(self.outline.rows) - 1, -1, -1):
            self.outline.toggle(place, not opened)


def _toggle(outline: Outline, place: int, is_open: bool | None) -> int:
    """Toggle a row; closing what is not open goes to its parent instead."""
    if outline.toggle(place, is_open) or is_open is not False:
        return place
    return outline.parent(place)
