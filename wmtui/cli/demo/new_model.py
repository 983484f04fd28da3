"""The demo's network after the refactoring: the same computation, other modules, other names."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class PatchEmbedding(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, hidden, 4, stride=4, bias=False)
        self.norm = nn.BatchNorm2d(hidden)


class MultiHeadAttention(nn.Module):
    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(hidden, hidden)
        self.k_proj = nn.Linear(hidden, hidden, bias=False)
        self.v_proj = nn.Linear(hidden, hidden)
        self.o_proj = nn.Linear(hidden, hidden)

    def forward(self, x: torch.Tensor, memory: torch.Tensor, causal: bool = False) -> torch.Tensor:
        q, k, v = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for t in (self.q_proj(x), self.k_proj(memory), self.v_proj(memory))
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        result: torch.Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return result


class FeedForward(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.up_proj = nn.Linear(hidden, 4 * hidden)
        self.down_proj = nn.Linear(4 * hidden, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.down_proj(F.gelu(self.up_proj(x)))
        return result


class Layer(nn.Module):
    def __init__(self, hidden: int, heads: int, cross: bool) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(hidden)
        self.self_attn = MultiHeadAttention(hidden, heads)
        if cross:
            self.encoder_attn_layer_norm = nn.LayerNorm(hidden)
            self.encoder_attn = MultiHeadAttention(hidden, heads)
        self.final_layer_norm = nn.LayerNorm(hidden)
        self.ffn = FeedForward(hidden)

    def forward(self, x: torch.Tensor, memory: torch.Tensor | None = None) -> torch.Tensor:
        h = self.self_attn_layer_norm(x)
        x = x + self.self_attn(h, h, causal=memory is not None)
        if memory is not None:
            x = x + self.encoder_attn(self.encoder_attn_layer_norm(x), memory)
        result: torch.Tensor = x + self.ffn(self.final_layer_norm(x))
        return result


class Stack(nn.Module):
    def __init__(self, hidden: int, heads: int, layers: int, cross: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(hidden, heads, cross) for _ in range(layers)])
        self.norm = nn.LayerNorm(hidden)


class NewModel(nn.Module):
    """Image encoder and text decoder; the scores come from the tied token embedding."""

    def __init__(self, hidden: int = 64, heads: int = 4, layers: int = 4, vocab: int = 500) -> None:
        super().__init__()
        self.patch_embedding = PatchEmbedding(hidden)
        self.encoder = Stack(hidden, heads, layers, cross=False)
        self.embed_tokens = nn.Embedding(vocab, hidden)
        self.embed_positions = nn.Parameter(torch.zeros(32, hidden))
        self.decoder = Stack(hidden, heads, layers, cross=True)
        self.lm_head = nn.Linear(hidden, vocab, bias=False)
        self.lm_head.weight = self.embed_tokens.weight

    def forward(self, image: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        patches = self.patch_embedding.norm(self.patch_embedding.projection(image))
        memory = patches.flatten(2).transpose(1, 2)
        for layer in self.encoder.layers:
            memory = layer(memory)
        memory = self.encoder.norm(memory)
        x = self.embed_tokens(tokens) + self.embed_positions[: tokens.shape[1]]
        for layer in self.decoder.layers:
            x = layer(x, memory)
        scores: torch.Tensor = self.lm_head(self.decoder.norm(x))
        return scores
