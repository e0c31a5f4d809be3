"""Contributions in a network as large as ResNet-50: images per second, and time for ImageNet.

The architecture is that of ResNet-50 (He et al. 2016, doi:10.1109/CVPR.2016.90: bottleneck blocks,
3, 4, 6 and 3 of them, 224 x 224 pixels) with random weights, because none are needed for a time.
All 16 block outputs, 10 steps, the logit of the top class, each unit's sign split before the sum
over space.
"""

import argparse
import resource
import tempfile
import time

import numpy as np
import torch
from torch import nn

from retina_codec.contributions import integrated_gradients, top_class

IMAGENET = 1_281_167
DEPTHS, WIDTHS = (3, 4, 6, 3), (64, 128, 256, 512)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a skip connection."""

    def __init__(self, n_in: int, width: int, stride: int):
        super().__init__()
        n_out = 4 * width
        self.branch = nn.Sequential(
            *convolution(n_in, width, 1),
            nn.ReLU(inplace=True),
            *convolution(width, width, 3, stride),
            nn.ReLU(inplace=True),
            *convolution(width, n_out, 1),
        )
        self.skip = nn.Identity()
        if stride > 1 or n_in != n_out:
            self.skip = nn.Sequential(*convolution(n_in, n_out, 1, stride))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        """Return the maps of the next block."""
        return self.relu(self.branch(x) + self.skip(x))


def convolution(n_in: int, n_out: int, side: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    """Return a convolution and its batch norm."""
    conv = nn.Conv2d(n_in, n_out, side, stride, side // 2, bias=False)
    return conv, nn.BatchNorm2d(n_out, momentum=1.0)


def resnet50() -> tuple[nn.Module, list[str]]:
    """Return the network and the names of its 16 blocks."""
    blocks, names, n_in = nn.Sequential(), [], 64
    for stage, (depth, width) in enumerate(zip(DEPTHS, WIDTHS, strict=True)):
        for i in range(depth):
            names.append(f"blocks.{stage}-{i}")
            stride = 2 if i == 0 and stage > 0 else 1
            blocks.add_module(f"{stage}-{i}", Bottleneck(n_in, width, stride))
            n_in = 4 * width
    network = nn.Sequential()
    network.add_module("stem", nn.Sequential(*convolution(3, 64, 7, 2), nn.ReLU(inplace=True)))
    network.add_module("pool", nn.MaxPool2d(3, 2, 1))
    network.add_module("blocks", blocks)
    network.add_module("mean", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    network.add_module("head", nn.Linear(n_in, 1000))
    with torch.no_grad():
        network(torch.randn(4, 3, 224, 224))  # The batch norms see what comes.
    return network.eval(), names


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8)
    n_images = parser.parse_args().images
    torch.manual_seed(0)
    network, layers = resnet50()
    images = np.random.default_rng(0).normal(size=(n_images, 3, 224, 224)).astype(np.float32)
    given = {"layers": layers, "target": top_class(), "n_steps": 10, "progress": False}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        integrated_gradients(network, images[:1], store=f"{folder}/first", **given)
        started = time.perf_counter()
        result = integrated_gradients(network, images, store=f"{folder}/store", **given)
        seconds = time.perf_counter() - started
        gap = max(float(np.median(record.relative_gap)) for record in result.values())
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6
    rate = n_images / seconds
    n_cores = torch.get_num_threads()
    core_hours = IMAGENET / rate * n_cores / 3600
    print(f"{n_images} images, 16 layers, 10 steps, {n_cores} cores: {rate:.2f} images/s")
    print(f"peak memory above network and images: {peak:.2f} GB; largest median gap {gap:.1%}")
    print(f"{IMAGENET:,} images: {core_hours:,.0f} core hours at this rate")


if __name__ == "__main__":
    main()
