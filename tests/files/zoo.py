"""Models of many kinds, as plain as they can be."""

from __future__ import annotations

import warnings

import torch
from torch import nn
from torch.nn.utils import parametrizations


class Tied(nn.Module):
    """An embedding that is the head as well, as language models have it."""

    def __init__(self, hidden: int = 8) -> None:
        super().__init__()
        self.wte = nn.Embedding(12, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.lm_head = nn.Linear(hidden, 12, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.lm_head(self.norm(self.wte(ids)))
        return out


class Buffers(nn.Module):
    """Persistent and other buffers, a parameter that is absent, a module that stands twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.again = self.bn
        self.register_parameter("absent", None)
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("mask", torch.zeros(2, 2, dtype=torch.bool), persistent=False)
        self.register_buffer("table", torch.arange(3))
        self.note = "not a tensor"
        self.loose = torch.zeros(5)


class Deep(nn.Module):
    """Lists and dicts of modules, several levels deep."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {"attn": nn.MultiheadAttention(8, 2), "mlp": nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 8))}
            )
            for _ in range(3)
        )
        self.extra = nn.ParameterList([nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))])
        self.rnn = nn.LSTM(4, 6, num_layers=2, bidirectional=True)


def weight_normed() -> nn.Module:
    """The old weight norm, whose ``weight`` is a plain attribute."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(torch.nn.utils.weight_norm(nn.Linear(4, 3)), nn.ReLU())


def parametrized() -> nn.Module:
    """The new one, whose parameters hang below ``parametrizations``."""
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 3)), parametrizations.orthogonal(nn.Linear(3, 3)))


def models() -> dict[str, nn.Module]:
    """All of them, by name; each can be pickled whole but for the parametrized one."""
    torch.manual_seed(0)
    return {
        "tied": Tied(),
        "buffers": Buffers(),
        "deep": Deep(),
        "transformer": nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2, enable_nested_tensor=False),
        "weight norm": weight_normed(),
        "half": Tied().half(),
        "batch norm": nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3)),
        "data parallel": nn.DataParallel(nn.Sequential(nn.Linear(2, 3))),
    }
