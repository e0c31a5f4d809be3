"""Train models/digits_cnn and models/digits_vit on the digits that come with scikit-learn."""

import sys
from pathlib import Path

from retina_codec.networks import (
    ClassifierTraining,
    ImageCNN,
    VisionTransformer,
    class_scores,
    save_network,
    train_classifier,
)
from retina_codec.stimuli import DIGITS, digits

MODELS = Path(__file__).parents[1] / "models"
WHAT = {
    "image_shape": (1, 8, 8),
    "class_names": tuple("0123456789"),
    "mean": DIGITS.mean,
    "std": DIGITS.std,
}
NETWORKS = {
    "digits_cnn": (ImageCNN(**WHAT), ClassifierTraining(epochs=20)),
    "digits_vit": (
        VisionTransformer(**WHAT),
        ClassifierTraining(epochs=50, batch_size=32, weight_decay=0.2),
    ),
}
CARD = """# {kind}: handwritten digits

{n_parameters:,} parameters. Layers to explain: {layers}.

- Data: {n_train} of the 1,797 images of 8 x 8 pixels in scikit-learn, the split "train" of
  `retina_codec.stimuli.digits`, a tenth of them to choose the best epoch. Source: Alpaydin and
  Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
  doi:10.24432/C50P49. Licence of the data: CC BY 4.0. Licence of the weights: that of the software.
- Input: (grey - {mean}) / {std}, grey from 0 (paper) to 1 (ink). An input of 0 is the mean grey.
- Training: `python data/train_digits.py`; {settings}.
- Score: {percent:.1f} % right on the {n_test} test images (95 % interval {low:.1f} to
  {high:.1f} %); each class in scores.json. Chance is 10 %.
- Limits: training and test images come from the same writers, so that others are recognised less
  well. There is no class "no digit": whatever is shown gets one of ten labels. Small networks for
  tests, tutorials and statistics over classes; nothing to read cheques with.
"""


def make(name: str) -> None:
    """Train one network and write its folder."""
    network, settings = NETWORKS[name]
    images, labels = digits("train")
    network, _ = train_classifier(network, images, labels, settings=settings)
    scores = class_scores(network, *digits("test"))
    folder = save_network(network, MODELS / name, scores=scores)
    total = scores.iloc[-1]
    card = CARD.format(
        kind=type(network).__name__,
        n_parameters=sum(parameter.numel() for parameter in network.parameters()),
        layers=", ".join(network.default_layers),
        n_train=len(labels),
        mean=DIGITS.mean,
        std=DIGITS.std,
        settings=settings,
        percent=100 * total["accuracy"],
        n_test=total["images"],
        low=100 * total["low"],
        high=100 * total["high"],
    )
    (folder / "card.md").write_text(card)


if __name__ == "__main__":
    for name in sys.argv[1:] or NETWORKS:
        make(name)
