"""Small real networks, each in an old and a new dress."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OldModel(nn.Module):
    """The documentation's source: eight parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1))
        self.classifier = nn.Sequential(nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 10))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.backbone(x).mean((2, 3)))
        return y


class NewModel(nn.Module):
    """The documentation's target."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_extractor = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1)
        )
        self.head = nn.Sequential(nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 10))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.feature_extractor(x).mean((2, 3)))
        return y


class OldBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.ln_2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.out((self.query(y) @ self.key(y).transpose(-1, -2)).softmax(-1) @ self.value(y))
        z: Tensor = x + self.fc2(self.fc1(self.ln_2(x)).relu())
        return z


class OldTransformer(nn.Module):
    """Embedding tied to the head, layers, and a batch norm for its buffers."""

    def __init__(self, width: int = 16, depth: int = 3) -> None:
        super().__init__()
        self.wte = nn.Embedding(50, width)
        self.layers = nn.ModuleList(OldBlock(width) for _ in range(depth))
        self.bn = nn.BatchNorm1d(width)
        self.lm_head = nn.Linear(width, 50, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.wte(ids)
        for layer in self.layers:
            x = layer(x)
        y: Tensor = self.lm_head(self.bn(x.transpose(1, 2)).transpose(1, 2))
        return y


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.o_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.o_proj((self.q_proj(x) @ self.k_proj(x).transpose(-1, -2)).softmax(-1) @ self.v_proj(x))
        return y


class NewBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(width)
        self.self_attn = Attention(width)
        self.post_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_norm(x))
        y: Tensor = x + self.down(self.up(self.post_norm(x)).relu())
        return y


class NewTransformer(nn.Module):
    def __init__(self, width: int = 16, depth: int = 3) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(50, width)
        self.blocks = nn.ModuleList(NewBlock(width) for _ in range(depth))
        self.final_norm = nn.BatchNorm1d(width)
        self.output = nn.Linear(width, 50, bias=False)
        self.output.weight = self.embed_tokens.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed_tokens(ids)
        for block in self.blocks:
            x = block(x)
        y: Tensor = self.output(self.final_norm(x.transpose(1, 2)).transpose(1, 2))
        return y


class Shuffled(nn.Module):
    """NewModel with its modules registered against the order of use."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(24, 24)
        self.second = nn.Linear(24, 24)
        self.first = nn.Linear(24, 24)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.second(self.first(x)))
        return y


class InOrder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(24, 24)
        self.b = nn.Linear(24, 24)
        self.c = nn.Linear(24, 24)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.c(self.b(self.a(x)))
        return y


def trained(model: nn.Module, *example: Tensor) -> nn.Module:
    """The model with random running statistics, in evaluation mode."""
    model.train()
    with torch.no_grad():
        model(*example)
    return model.eval()
