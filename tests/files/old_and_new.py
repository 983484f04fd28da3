"""Two real architectures, each as an old and as a refactored class: the same network with other names."""

from __future__ import annotations

import torch
from torch import nn


class OldBlock(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or before != width:
            self.downsample = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        made: torch.Tensor = self.relu(out + shortcut)
        return made


class OldResNet(nn.Module):
    """A residual network as torchvision names it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.layer1 = nn.Sequential(OldBlock(8, 8, 1), OldBlock(8, 8, 1))
        self.layer2 = nn.Sequential(OldBlock(8, 16, 2), OldBlock(16, 16, 1))
        self.fc = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x)))))
        made: torch.Tensor = self.fc(x.mean((2, 3)))
        return made


class NewBlock(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.ModuleDict(
            {
                "a": nn.Sequential(nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)),
                "b": nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)),
            }
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != width:
            self.shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body["b"](torch.relu(self.body["a"](x))) + self.shortcut(x))


class NewResNet(nn.Module):
    """The same after a refactoring: a stem, a flat list of blocks, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8))
        self.blocks = nn.ModuleList([NewBlock(8, 8, 1), NewBlock(8, 8, 1), NewBlock(8, 16, 2), NewBlock(16, 16, 1)])
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        made: torch.Tensor = self.head(x.mean((2, 3)))
        return made


def resnet_names() -> dict[str, str]:
    """Old key -> new key."""
    names = {}
    for key in OldResNet().state_dict():
        first, _, rest = key.partition(".")
        if first in ("conv1", "bn1"):
            names[key] = f"stem.{int(first == 'bn1')}.{rest}"
        elif first == "fc":
            names[key] = f"head.{rest}"
        else:
            block, what, rest = rest.split(".", 2) if "downsample" not in rest else (rest[0], "downsample", rest[13:])
            number = int(block) + 2 * (first == "layer2")
            inside = {"conv1": "body.a.0", "bn1": "body.a.1", "conv2": "body.b.0", "bn2": "body.b.1"}
            names[key] = f"blocks.{number}.{inside.get(what, 'shortcut')}.{rest}"
    return names


class OldGpt(nn.Module):
    """A language model with GPT-2's names, whose head is its embedding."""

    def __init__(self, width: int = 16, words: int = 40) -> None:
        super().__init__()
        self.wte = nn.Embedding(words, width)
        self.wpe = nn.Embedding(12, width)
        self.h = nn.ModuleList(
            nn.ModuleDict(
                {
                    "ln_1": nn.LayerNorm(width),
                    "attn": nn.MultiheadAttention(width, 2, batch_first=True),
                    "ln_2": nn.LayerNorm(width),
                    "c_fc": nn.Linear(width, 4 * width),
                    "c_proj": nn.Linear(4 * width, width),
                }
            )
            for _ in range(3)
        )
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, words, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.h:
            assert isinstance(block, nn.ModuleDict)
            normed = block["ln_1"](x)
            x = x + block["attn"](normed, normed, normed, need_weights=False)[0]
            x = x + block["c_proj"](torch.tanh(block["c_fc"](block["ln_2"](x))))
        made: torch.Tensor = self.lm_head(self.ln_f(x))
        return made


class NewLayer(nn.Module):
    """One layer; its two linear maps keep their weights the other way round."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.norm_out = nn.LayerNorm(width)
        self.up = nn.Parameter(torch.zeros(width, 4 * width))
        self.up_bias = nn.Parameter(torch.zeros(4 * width))
        self.down = nn.Parameter(torch.zeros(4 * width, width))
        self.down_bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.norm_in(x)
        x = x + self.attention(normed, normed, normed, need_weights=False)[0]
        made: torch.Tensor = x + torch.tanh(self.norm_out(x) @ self.up + self.up_bias) @ self.down + self.down_bias
        return made


class NewGpt(nn.Module):
    """The same model with other names, the tied head under another one and transposed maps."""

    def __init__(self, width: int = 16, words: int = 40) -> None:
        super().__init__()
        self.tokens = nn.Embedding(words, width)
        self.positions = nn.Parameter(torch.zeros(1, 12, width))
        self.layers = nn.ModuleList(NewLayer(width) for _ in range(3))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, words, bias=False)
        self.output.weight = self.tokens.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids) + self.positions[0, : ids.shape[1]]
        for layer in self.layers:
            x = layer(x)
        made: torch.Tensor = self.output(self.norm(x))
        return made


def gpt_names() -> dict[str, str]:
    """Old key -> new key, without the tied head."""
    inside = {
        "ln_1.weight": "norm_in.weight", "ln_1.bias": "norm_in.bias",
        "ln_2.weight": "norm_out.weight", "ln_2.bias": "norm_out.bias",
        "c_fc.weight": "up", "c_fc.bias": "up_bias", "c_proj.weight": "down", "c_proj.bias": "down_bias",
    }  # fmt: skip
    outside = {"wte": "tokens.weight", "wpe": "positions", "ln_f": "norm."}
    names = {}
    for key in OldGpt().state_dict():
        first, _, rest = key.partition(".")
        if first == "h":
            number, _, rest = rest.partition(".")
            names[key] = f"layers.{number}.{inside.get(rest, rest.replace('attn', 'attention'))}"
        elif first != "lm_head":
            names[key] = outside[first] + (rest if outside[first].endswith(".") else "")
    return names
