"""Which module is which: modules known by what they hold, lists that are divided otherwise on the two sides."""

from __future__ import annotations

from tests.core.matching.helpers import listing, mapping
from wmtui.core.matching import match


def matched(source, target):
    return mapping(match(listing(source), listing(target)))


def unet_level(out, into):
    return {"c1": (out, into, 3, 3), "n1": (out,), "c2": (out, out, 3, 3), "n2": (out,)}


def test_modules_that_alone_hold_their_sizes_are_paired_before_lists():
    widths = (3, 8, 16, 32)
    source = {
        f"d{k + 1}{part}.weight": shape
        for k in range(3)
        for part, shape in unet_level(widths[k + 1], widths[k]).items()
    }
    ups = {f"u{k}{part}.weight": shape for k in (2, 1) for part, shape in unet_level(8 * k, 16 * k).items()}
    source = {**ups, **source}
    names = {"c1": "0.proj", "n1": "0.norm", "c2": "1.proj", "n2": "1.norm"}
    places = {"d1": "encoder.0", "d2": "encoder.1", "d3": "bottleneck", "u2": "decoder.0.fuse", "u1": "decoder.1.fuse"}
    expected = {key: f"{places[key[:2]]}.{names[key[2:4]]}.weight" for key in source}
    order = ("decoder", "encoder", "bottleneck")
    norms_first = sorted(expected, key=lambda key: (order.index(expected[key].split(".")[0]), "n" not in key))
    assert matched(source, {expected[key]: source[key] for key in norms_first}) == expected
