"""The matching engine: two listings in, a :class:`~wmtui.core.proposal.Proposal` out.

Rooms, each above the one before:

* ``reading``: a listing as a tree of modules, and the words of their names;
* ``blocks``: which module is which, by families of numbered blocks and by what modules hold;
* ``evidence``: which tensor is which in a pair of modules, and how sure that is;
* ``fused``: several tensors on one side that are one on the other;
* ``scopes``: the recursive solution of all of it, with roles settled between two passes;
* ``engine``: from end to end, with ``given`` (the user's decisions), ``rescue`` (single leaves), ``rules`` (templates)
  and ``explain`` (candidates, when asked for).

Importing this package imports numpy, scipy and rapidfuzz; nothing else in the core does.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from wmtui.core.listing import Listing
from wmtui.core.match_options import MatchOptions
from wmtui.core.matching.engine import Engine
from wmtui.core.matching.evidence.state import Switches
from wmtui.core.proposal import Facts, Proposal

__all__ = ["MatchOptions", "Switches", "match"]


def match(
    source: Listing,
    target: Listing,
    *,
    options: MatchOptions = MatchOptions(),  # noqa: B008 - frozen
    facts: Facts = Facts(),  # noqa: B008 - frozen
    progress: Callable[[str, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    switches: Switches | None = None,
) -> Proposal:
    """Propose one-to-one pairs between two listings.

    Args:
        facts: the user's decisions; they stand in the proposal and decide like cases elsewhere.
        progress: called with a stage in plain words and the share done, 0 to 1.
        cancelled: asked between steps whether to stop.
        switches: kinds of evidence to turn off, for ablations.

    Raises:
        Cancelled: ``cancelled`` said so.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        engine = Engine(
            source, target, options=options, facts=facts, switches=switches, progress=progress, cancelled=cancelled
        )
        return engine.propose()
    finally:
        if collecting:
            gc.enable()
