"""The networks of the recorded sessions: a CNN and a decoder before and after somebody rewrote them."""

from __future__ import annotations

import torch
from torch import nn


def conv(here: int, there: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(here, there, size, stride, size // 2, bias=False)


class Unit(nn.Module):
    def __init__(self, here: int, there: int, stride: int) -> None:
        super().__init__()
        self.c1, self.b1 = conv(here, there, 3, stride), nn.BatchNorm2d(there)
        self.c2, self.b2 = conv(there, there, 3), nn.BatchNorm2d(there)
        if stride > 1:
            self.skip = nn.Sequential(conv(here, there, 1, stride), nn.BatchNorm2d(there))


class OldCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 16, 3), nn.BatchNorm2d(16))
        sizes = ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        self.stages = nn.ModuleList(nn.ModuleList([Unit(*size), Unit(size[1], size[1], 1)]) for size in sizes)
        self.cls = nn.Linear(64, 10)


class Block(nn.Module):
    def __init__(self, here: int, there: int, stride: int) -> None:
        super().__init__()
        parts = conv(here, there, 3, stride), nn.BatchNorm2d(there), nn.ReLU(), conv(there, there, 3)
        self.residual = nn.Sequential(*parts, nn.BatchNorm2d(there))
        if stride > 1:
            self.shortcut = nn.Sequential(conv(here, there, 1, stride), nn.BatchNorm2d(there))


class NewCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
        self.layer1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1))
        self.head = nn.Linear(64, 10)
        self.boxes = nn.Linear(64, 4)


LAYERS, WIDTH = 24, 64


def old_decoder() -> dict[str, torch.Tensor]:
    """Its two norms are called ``nx`` and ``ny``: only who knows the code knows which is which."""
    tensors = {"wte": torch.randn(100, WIDTH)}
    for n in range(LAYERS):
        for part in "qkvo":
            tensors[f"decoder.block{n}.att_{part}.w"] = torch.randn(WIDTH, WIDTH)
        tensors |= {f"decoder.block{n}.{norm}.w": torch.ones(WIDTH) for norm in ("nx", "ny")}
        tensors[f"decoder.block{n}.up.w"] = torch.randn(2 * WIDTH, WIDTH)
        tensors[f"decoder.block{n}.down.w"] = torch.randn(WIDTH, 2 * WIDTH)
    return tensors | {"final.w": torch.ones(WIDTH), "out.w": torch.randn(100, WIDTH)}


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_mlp, self.ln_attn = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        names = "out", "value", "key", "query"
        self.self_attn = nn.ModuleDict({name: nn.Linear(WIDTH, WIDTH, bias=False) for name in names})
        parts = nn.Linear(WIDTH, 2 * WIDTH, bias=False), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH, bias=False)
        self.mlp = nn.Sequential(*parts)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        self.lm_head = nn.Linear(WIDTH, 100, bias=False)


def write_files() -> None:
    """The checkpoints of the three jobs, into the working folder."""
    torch.manual_seed(0)
    model = OldCNN()
    torch.save({"epoch": 12, "state_dict": model.state_dict()}, "old_cnn.pt")
    torch.save(old_decoder(), "old_decoder.pt")
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for step in (3000, 4000):
        if step == 4000:
            with torch.no_grad():
                model.stages[1][0].c2.weight[0, 0, 0, 0] = torch.nan  # type: ignore[index]
                model.cls.weight += 0.5
        run = {"epoch": step // 1000, "global_step": step, "hyper_parameters": {"lr": 1e-3, "warmup": 500}}
        torch.save(run | {"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, f"step{step}.ckpt")
