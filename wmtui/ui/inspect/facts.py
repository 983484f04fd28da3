"""What is said of a file and of a tensor in a few words; the texts of the file are not made safe yet."""

from __future__ import annotations

from wmtui.core.inspection import totals_by_dtype, whole
from wmtui.core.listing import TensorSpec
from wmtui.core.printable import plural
from wmtui.core.side import Side
from wmtui.ui.text import bytes_text, count_text, shape_text


def side_facts(side: Side) -> list[str]:
    """What a file holds, in a few words each, the most telling first."""
    found = whole(side.listing)
    dtypes = [total.name for total in totals_by_dtype(side.listing)]
    facts = [plural(found.tensors, "tensor"), f"{count_text(found.numel)} elements", bytes_text(found.nbytes)]
    if dtypes:
        facts.append(dtypes[0] + (f" +{len(dtypes) - 1}" if len(dtypes) > 1 else ""))
    if side.weights_key or len(side.weights_keys) > 1:
        more = f" (1 of {len(side.weights_keys)})" if len(side.weights_keys) > 1 else ""
        facts.append(f"in {side.weights_key or 'the top level'}{more}")
    return facts


def tensor_facts(spec: TensorSpec) -> str:
    """Shape, dtype, size and more of a tensor."""
    found = [shape_text(spec.shape), spec.dtype, plural(spec.numel, "element"), bytes_text(spec.nbytes)]
    found += [word for word in (spec.kind, spec.type_name) if word]
    return "  ".join([*found, f"in {spec.where}"] if spec.where else found)
