"""The gallery's mnist_mlp as a script in PyTorch: one epoch, then the accuracy on the test images.

python tools/bench/peers/torch_mnist.py FOLDER_OF_MNIST
"""

from __future__ import annotations

import gzip
import math
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH, RATE = 64, 0.1


def read(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Images in 0..1, one a row, and their digits."""
    images, digits = (_bytes(folder / f"{part}-{kind}.gz") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    return images[16:].reshape(-1, 784).float().div_(255), digits[8:].long()


def _bytes(path: Path) -> Tensor:
    return torch.frombuffer(bytearray(gzip.decompress(path.read_bytes())), dtype=torch.uint8)


def train(net: nn.Module, images: Tensor, digits: Tensor) -> None:
    optimizer = torch.optim.SGD(net.parameters(), RATE, momentum=0.9, fused=True)
    batches = torch.randperm(len(images)).split(BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / len(batches))) / 2)
    for rows in batches:
        optimizer.zero_grad()
        F.cross_entropy(net(images[rows]), digits[rows]).backward()
        optimizer.step()
        schedule.step()


def main(folder: Path) -> None:
    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    train(net, *read(folder, "train"))
    images, digits = read(folder, "t10k")
    with torch.inference_mode():
        print(f"accuracy {(net(images).argmax(1) == digits).float().mean():.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
