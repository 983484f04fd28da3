"""The demo's network as it was before the refactoring: a small captioner, image in, token scores out."""

from __future__ import annotations

import torch
from torch import nn


class Stem(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 4, stride=4, bias=False)
        self.bn1 = nn.BatchNorm2d(width)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.bn1(self.conv1(image))
        return features.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor, memory: torch.Tensor, causal: bool = False) -> torch.Tensor:
        q, k, v = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for t in (self.query(x), self.key(memory), self.value(memory))
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        result: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return result


class Block(nn.Module):
    def __init__(self, width: int, heads: int, cross: bool) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.attn_ln = nn.LayerNorm(width)
        self.cross_attn = Attention(width, heads) if cross else None
        self.cross_attn_ln = nn.LayerNorm(width) if cross else None
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.mlp_ln = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, memory: torch.Tensor | None = None) -> torch.Tensor:
        h = self.attn_ln(x)
        x = x + self.attn(h, h, causal=memory is not None)
        if self.cross_attn is not None and self.cross_attn_ln is not None:
            x = x + self.cross_attn(self.cross_attn_ln(x), memory)
        result: torch.Tensor = x + self.mlp(self.mlp_ln(x))
        return result


class OldModel(nn.Module):
    """Image encoder and text decoder; the scores come from the tied token embedding."""

    def __init__(self, width: int = 64, heads: int = 4, layers: int = 4, vocabulary: int = 500) -> None:
        super().__init__()
        self.stem = Stem(width)
        self.enc_blocks = nn.ModuleList([Block(width, heads, cross=False) for _ in range(layers)])
        self.enc_ln = nn.LayerNorm(width)
        self.tok_emb = nn.Embedding(vocabulary, width)
        self.pos_emb = nn.Parameter(torch.randn(32, width) * 0.02)
        self.dec_blocks = nn.ModuleList([Block(width, heads, cross=True) for _ in range(layers)])
        self.dec_ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tok_emb.weight
        self.aux_head = nn.Linear(width, 10)

    def forward(self, image: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        memory = self.stem(image)
        for block in self.enc_blocks:
            memory = block(memory)
        memory = self.enc_ln(memory)
        x = self.tok_emb(tokens) + self.pos_emb[: tokens.shape[1]]
        for block in self.dec_blocks:
            x = block(x, memory)
        scores: torch.Tensor = self.head(self.dec_ln(x))
        return scores
