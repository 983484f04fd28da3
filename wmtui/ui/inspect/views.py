"""The views of an inspection: what each shows as rows. A view keeps its own cursor; the list widget only paints it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from wmtui.core.inspection import Total, totals_by_dtype, totals_by_module
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.printable import plural
from wmtui.core.table import Order, TemplateTable
from wmtui.ui.inspect.facts import tensor_facts
from wmtui.ui.lines import Part
from wmtui.ui.text import bytes_text, clip, count_text, fit, shape_text, width
from wmtui.ui.theme import Palette

ORDERS = (Order.FILE, Order.NAME, Order.SIZE, Order.DTYPE)
OPEN, CLOSED = "▾ ", "▸ "
INDENT = "  "


class View:
    """One way to look at a file.

    Attributes:
        name: as the header shows it.
        cursor, top: where the list stands in it.
    """

    name = ""

    def __init__(self) -> None:
        self.cursor = 0
        self.top = 0

    def count(self) -> int:
        """Number of rows."""
        raise NotImplementedError

    def badge(self) -> str:
        """What the header shows after the name: how much there is."""
        return ""

    def title(self) -> str:
        """What the rows are; safe text."""
        raise NotImplementedError

    def empty(self) -> str:
        """What to say where there are no rows."""
        return "nothing to show"

    def row(self, place: int, cells: int, looks: Palette) -> Iterable[Part]:
        """The parts of a row; safe text."""
        raise NotImplementedError

    def text_of(self, place: int) -> str:
        """The whole key or name of a row, as it is in the file."""
        raise NotImplementedError

    def about(self, place: int) -> str:  # noqa: ARG002
        """More of a row than fits into it, as it is in the file."""
        return ""

    def places(self, place: int) -> Sequence[int]:  # noqa: ARG002
        """The tensors that a row stands for, ascending."""
        return ()

    def toggle(self, place: int, is_open: bool | None) -> int:  # noqa: ARG002
        """Show or hide what is below a row; the row to stand on then."""
        return place

    def toggle_all(self) -> None:
        """Show or hide what is below all rows."""


class TensorView(View):
    """A view of tensors with columns.

    Attributes:
        bad: place of a tensor -> what is wrong with its data.
        count_cells: width of the last column.
    """

    def __init__(self, listing: Listing) -> None:
        super().__init__()
        self.listing = listing
        self.bad: dict[int, str] = {}
        self.count_cells = len(f" x{len(listing)}")
        self._tied = {listing.index[key] for keys in listing.ties.values() for key in keys}
        shapes, dtypes = {spec.shape for spec in listing}, {spec.dtype for spec in listing}
        self._shape_cells = min(18, max((width(shape_text(shape)) for shape in shapes), default=0))
        self._dtype_cells = min(13, max(map(len, dtypes), default=0))

    def mark(self, places: Sequence[int], looks: Palette) -> Part:
        """One cell that says what is special, and one of space."""
        if self.bad and self.has_bad(places):
            return "! ", looks.bad
        return ("= ", looks.muted) if places[0] in self._tied else ("  ", None)

    def has_bad(self, places: Sequence[int]) -> bool:
        """Whether the data of one of these tensors, ascending, are known to be bad."""
        if len(places) < len(self.bad):
            return any(place in self.bad for place in places)
        found = (bisect_left(places, place) for place in self.bad)
        return any(at < len(places) and places[at] in self.bad for at in found)

    def columns(
        self, name: str, spec: TensorSpec | None, nbytes: int | None, count: str, cells: int, looks: Palette
    ) -> list[Part]:
        """Name, shape, dtype, bytes and number in ``cells`` cells."""
        shape_cells = self._shape_cells if cells >= 70 else min(self._shape_cells, 11)
        size_cells, count_cells = 9, self.count_cells if cells >= 60 else 0
        rest = shape_cells + self._dtype_cells + size_cells + count_cells + 3
        facts = (
            f"{clip(shape_text(spec.shape), shape_cells):>{shape_cells}} {fit(spec.dtype, self._dtype_cells)}"
            if spec is not None
            else " " * (shape_cells + 1 + self._dtype_cells)
        )
        return [
            (fit(name, max(8, cells - rest)) + " ", None),
            (f"{facts} {bytes_text(nbytes):>{size_cells}}" + f"{count:>{count_cells}}"[:count_cells], looks.muted),
        ]

    def about(self, place: int) -> str:
        places = self.places(place)
        return tensor_facts(self.listing.tensors[places[0]]) if len(places) == 1 else self.about_several(place)

    def about_several(self, place: int) -> str:
        """What a row says of several tensors."""
        raise NotImplementedError


class TableView(TensorView):
    """Groups and their keys."""

    name = "groups"

    def __init__(self, table: TemplateTable) -> None:
        super().__init__(table.listing)
        self.table = table
        self.count_cells = max((len(f" x{len(group.members)}") for group in table.groups), default=0)

    def count(self) -> int:
        return len(self.table.rows)

    def badge(self) -> str:
        return f"{len(self.table.groups):,}"

    def title(self) -> str:
        table = self.table
        if not table.filtered:
            facts = [plural(len(table.groups), "group"), plural(len(table.listing), "tensor")]
        else:
            tensors = plural(len(table.listing), "tensor")
            facts = [f"{table.shown_groups} of {plural(len(table.groups), 'group')}"]
            facts.append(f"{table.shown_count:,} of {tensors}")
        if table.only is not None:
            facts.append("with NaN or infinity")
        if table.text:
            facts.append(f"/{clip(table.text, 30)}")
        if table.order is not Order.FILE:
            facts.append(f"by {table.order}")
        return "  ".join(facts)

    def empty(self) -> str:
        return "no key fits the search: Esc clears it" if self.table.filtered else "there are no tensors"

    def row(self, place: int, cells: int, looks: Palette) -> Iterable[Part]:
        table = self.table
        row = table.rows[place]
        group = table.group_of(row)
        places = table.members(row)
        spec = self.listing.tensors[places[0]]
        whole = len(table.groups[group].members)
        if row < 0:
            sign, name = OPEN if group in table.expanded else CLOSED, table.groups[group].name
            number = f"{len(places)}/{whole}" if len(places) < whole else f"x{whole}"
            size = _times(spec.nbytes, len(places))
        else:
            sign, name, number, size = INDENT if whole == 1 else INDENT * 2, spec.key, "", spec.nbytes
        return [
            self.mark(places, looks),
            (sign, None),
            *self.columns(name, spec, size, number, cells - 2 - len(sign), looks),
        ]

    def text_of(self, place: int) -> str:
        row = self.table.rows[place]
        return self.listing.tensors[row].key if row >= 0 else self.table.groups[-1 - row].name

    def about_several(self, place: int) -> str:
        places = self.places(place)
        spec, count = self.listing.tensors[places[0]], len(places)
        size = bytes_text(_times(spec.nbytes, count))
        elements = f"{count_text(spec.numel * count)} elements"
        return "  ".join((plural(count, "tensor"), shape_text(spec.shape), spec.dtype, elements, size))

    def places(self, place: int) -> Sequence[int]:
        return self.table.members(self.table.rows[place])

    def toggle(self, place: int, is_open: bool | None) -> int:
        row = self.table.rows[place]
        group = self.table.group_of(row)
        if len(self.table.groups[group].members) == 1 or (row >= 0 and is_open):
            return place
        self.table.toggle(group, False if row >= 0 else is_open)
        return self.table.rows.index(-1 - group)

    def toggle_all(self) -> None:
        self.table.expand_all(not self.table.expanded)


def _times(nbytes: int | None, count: int) -> int | None:
    """Bytes of a group: its tensors have one shape and one dtype."""
    return None if nbytes is None else nbytes * count


class TotalsView(View):
    """Totals by dtype and by module."""

    name = "totals"

    def __init__(self, listing: Listing) -> None:
        super().__init__()
        self.listing = listing
        self._made: list[Total | str] | None = None

    @property
    def _rows(self) -> list[Total | str]:
        if self._made is None:
            self._made = ["by dtype", *totals_by_dtype(self.listing), "by module", *totals_by_module(self.listing)]
        return self._made

    def count(self) -> int:
        return len(self._rows)

    def title(self) -> str:
        return "tied tensors counted once" if self.listing.ties else "elements and bytes"

    def row(self, place: int, cells: int, looks: Palette) -> Iterable[Part]:
        row = self._rows[place]
        if isinstance(row, str):
            return [(row, looks.strong)]
        share = row.nbytes / self.listing.total_bytes if self.listing.total_bytes else 0.0
        facts = f"{plural(row.tensors, 'tensor'):>15} {count_text(row.numel):>8} {bytes_text(row.nbytes):>10}"
        facts += f" {share:>4.0%}"
        return [("  " + fit(row.name, max(8, cells - len(facts) - 3)) + " ", None), (facts, looks.muted)]

    def text_of(self, place: int) -> str:
        row = self._rows[place]
        return row if isinstance(row, str) else row.name


class TiesView(View):
    """Tied tensors, storage by storage."""

    name = "tied"

    def __init__(self, listing: Listing) -> None:
        super().__init__()
        self.listing = listing
        self._rows = [(key, n == 0) for keys in listing.ties.values() for n, key in enumerate(keys)]

    def count(self) -> int:
        return len(self._rows)

    def badge(self) -> str:
        return str(len(self._rows) or "")

    def title(self) -> str:
        return f"{plural(len(self.listing.ties), 'storage')} with more than one key"

    def empty(self) -> str:
        return "no tensors share their storage, as far as the file tells"

    def row(self, place: int, cells: int, looks: Palette) -> Iterable[Part]:
        key, first = self._rows[place]
        spec = self.listing[key]
        facts = f"{shape_text(spec.shape)} {spec.dtype} {bytes_text(spec.nbytes):>9}" if first else ""
        return [
            (INDENT if first else "  = ", looks.muted),
            (fit(key, max(8, cells - width(facts) - 5)) + " ", None),
            (facts, looks.muted),
        ]

    def text_of(self, place: int) -> str:
        return self._rows[place][0]

    def about(self, place: int) -> str:
        return tensor_facts(self.listing[self._rows[place][0]])

    def places(self, place: int) -> Sequence[int]:
        return (self.listing.index[self._rows[place][0]],)
