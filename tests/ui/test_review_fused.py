"""Stories of fused tensors: what the screen says of keys that have no single partner."""

from __future__ import annotations

from tests.ui.standins import SuffixMatch, listing
from tests.ui.user import at_the_screen
from wmtui.core.proposal import Fusion, Proposal

SOURCE = listing("old.pth", "attn.in_proj:12x4", "up.a:2x2", "up.b:2x2", "norm:4")
TARGET = listing("Net", "attn.q_proj:4x4", "attn.k_proj:4x4", "attn.v_proj:4x4", "up.both:4x2", "norm:4")
FUSIONS = (
    Fusion("split", ("attn.in_proj",), ("attn.q_proj", "attn.k_proj", "attn.v_proj"), 0),
    Fusion("merge", ("up.a", "up.b"), ("up.both",), 0),
)


class FusingMatch(SuffixMatch):
    """Says besides its pairs what looks fused."""

    def __call__(self, facts, progress, cancelled):
        found = super().__call__(facts, progress, cancelled)
        return Proposal(
            found.pairs, found.ambiguous, FUSIONS, found.rules, lambda key, limit: found.candidates(key, limit)
        )


def fused_screen(size=(120, 40)):
    return at_the_screen(SOURCE, TARGET, match=FusingMatch(SOURCE, TARGET), size=size)


async def test_a_key_without_a_partner_says_what_it_looks_fused_of():
    async with fused_screen() as user:
        split = "looks fused: it holds q_proj, k_proj and v_proj of the target side"
        user.sees(split, widget="candidates")
        await user.press("e")
        user.sees(split, "along dim 0.", "or ignore them")
        await user.press("q", "j")
        user.sees("looks like a part: with b it makes up.both along dim 0", widget="candidates")
        await user.press("j", "j")
        assert "norm" in user.row
        assert "looks" not in user.text("candidates")


async def test_a_narrow_screen_says_it_in_two_lines():
    async with fused_screen((80, 24)) as user:
        user.sees("looks fused: it holds q_proj, k_proj and v_proj", "\n  0\n", widget="candidates")
        assert "fused" in user.row


async def test_explain_in_the_target_pane_is_about_the_target():
    async with fused_screen() as user:
        await user.press("tab", "tab", "g", "e")
        user.sees("Target  attn.q_proj", "No source key goes there.")
        user.sees("looks like a part: with k_proj and v_proj it lies in attn.in_proj along dim 0.")
        await user.press("q", "G", "e")
        user.sees("Source  norm", "Proposed  norm")
