# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 8. Image networks
#
# **You learn** to ask a classifier of images what contributes to a class: what is missing, which
# target to take, and how to bring your own network and pictures.\
# **You need** the idea of a contribution (tutorial 3); two small networks come with the package.\
# **It takes** about fifteen seconds.

# %%
import tempfile
import textwrap
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from PIL import Image

import retina_codec as rc

plt.rcParams.update({"figure.dpi": 80, "font.size": 8, "legend.frameon": False})

project = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / "models").is_dir())
known = rc.networks.load_image_network(project / "models" / "digits_cnn")
network = known.network

parts = [rc.stimuli.digits(split) for split in ("selection", "test")]
images, labels = (np.concatenate(both) for both in zip(*parts, strict=True))
selection = np.arange(len(images)) < len(parts[0][0])
chosen_on, test = np.flatnonzero(selection), np.flatnonzero(~selection)
pictures = np.clip(images[:, 0] * known.prepare.std[0] + known.prepare.mean[0], 0, 1)

outputs = rc.networks.predict(network, images)
predicted = outputs.argmax(axis=1)
print(f"{known.name}: layers {', '.join(known.layers)}; classes {', '.join(known.class_names)}")
print(f"right on {(predicted == labels)[test].mean():.1%} of {len(test)} images for tests")
figure, axes = plt.subplots(1, 10, figsize=(7, 1), layout="constrained")
for class_, ax in enumerate(axes):
    ax.imshow(pictures[test[labels[test] == class_][0]], cmap="gray", vmin=0, vmax=1)
    ax.set_axis_off()
plt.show()

# %% [markdown]
# **Above:** one image of each class. A network says "3". Which hidden channels made it say so? The
# same functions that ask a model of the retina about a ganglion cell ask a classifier about a
# class.
#
# We take two small networks that were trained on handwritten digits of 8 x 8 pixels: a residual
# network (CNN) and a vision transformer (ViT). Neither was trained on any of the images here: 360
# are for the selection of classes, modes and channels, 359 for tests. Numbers stand beside chance,
# and some results go against the method.

# %% [markdown]
# ## 1. What a contribution is, on one image
#
# Images are normalised, so that 0 is the mean grey. The **contribution** of a hidden channel is the
# share of the target's change, from the grey image to this image, that went through the channel.
# The target is the logit of the class that wins. A channel can promote it in one place and suppress
# it in another; both sums are kept apart, as **features**. Here for one image and the last block.

# %%
targets = {
    "top class": rc.contributions.top_class(),
    "contrast": rc.contributions.contrast_top2(),
}
explained = dict(
    zip(
        targets,
        rc.contributions.integrated_gradients(
            network,
            images,
            layers=known.layers,
            target=list(targets.values()),
            n_steps=5,
            rule="secant",
            progress=False,
        ).values(),
        strict=True,
    )
)
layer = "block3"
contributions = explained["top class"][layer]

one = int(test[labels[test] == 3][0])
values = np.asarray(contributions.values)[one]
n_channels = len(np.unique(contributions.channel))
promotes, suppresses = values[:n_channels], values[n_channels:]
order = np.argsort(-(promotes + suppresses))
change = float(contributions.target_value[one] - contributions.baseline_value[one])
print(
    f"logit of class {predicted[one]}: {contributions.baseline_value[one]:+.3f} for grey, ", end=""
)
print(f"{contributions.target_value[one]:+.3f} for the image, so it changes by {change:+.3f}")
print(f"sum of the contributions of all {n_channels} channels: {values.sum():+.3f}")
print(
    f"the half that promotes most: {(promotes + suppresses)[order][: n_channels // 2].sum():+.3f}"
)

figure, (left, right) = plt.subplots(
    1, 2, figsize=(7, 2.2), width_ratios=[1, 3.5], layout="constrained"
)
left.imshow(pictures[one], cmap="gray", vmin=0, vmax=1)
left.set(xticks=[], yticks=[], title=f"an image of a {labels[one]}")
right.bar(range(len(order)), promotes[order], color="C3", label="promoting")
right.bar(range(len(order)), suppresses[order], color="C0", label="suppressing")
right.axhline(0, color="k", linewidth=0.5)
right.set_xticks(range(len(order)), order, fontsize=5, rotation=90)
right.set(xlabel=f"channel of {layer}, most promoting first", ylabel="contribution (logit)")
right.legend()
plt.show()

# %% [markdown]
# The contributions sum to the change, because everything that reaches the logit passes the block:
# the block **cuts** the network. What they miss is the **gap**. Every result carries it.
#
# Layers inside a block do not cut the network: the shortcut of the CNN, and the tokens that a
# transformer hands on, pass by the hidden units. Then the gap is no error, but what went round the
# layer, and a warning says so. The gap is in percent of the change (median over images):

# %%
vit = rc.networks.load_image_network(project / "models" / "digits_vit")
last = vit.layers[-1]
asked = {
    "CNN": (network, [layer, f"{layer}.relu1"], rc.contributions.by_sign),
    "ViT": (
        vit.network,
        [last, f"{last}.mlp.hidden", f"{last}.attention.heads"],
        rc.contributions.tokens_by_sign(),
    ),
}
some = test[::4]
rows = []
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for name, (which, layers, pooling) in asked.items():
        for n_steps in (5, 40):
            made = rc.contributions.integrated_gradients(
                which,
                images[some],
                layers=layers,
                target=rc.contributions.top_class(),
                n_steps=n_steps,
                rule="trapezoid",
                pooling=pooling,
                progress=False,
            )
            rows += [
                {
                    "network": name,
                    "layer": inside,
                    "steps": n_steps,
                    "gap (%)": 100 * np.nanmedian(record.relative_gap),
                }
                for inside, record in made.items()
            ]
print(textwrap.fill(str(told[0].message), 100))
cut = pd.DataFrame(rows).pivot(index=["network", "layer"], columns="steps", values="gap (%)")
cut.astype(float).round(1)

# %% [markdown]
# Where a layer cuts the network, the gap goes to zero with more steps on the path. Where it does
# not, most of it stays, however many steps there are. These are the two things to look at before
# believing any contribution.

# %% [markdown]
# ## 2. The right class along the whole path
#
# The path from grey to an image passes through images of which the network has an opinion of its
# own. Who is ahead on the way?

# %%
doses = np.linspace(0, 1, 21, dtype=np.float32)
path = np.stack([rc.networks.predict(network, dose * images) for dose in doses])
ahead = path.argmax(axis=2)
grey = int(ahead[0, 0])
others_lead = (ahead != ahead[-1]).any(axis=0)
of_largest = path[-1].max(axis=1) - path[0].max(axis=1)
summed = np.asarray(contributions.values).sum(axis=1)
p_grey = float(torch.from_numpy(path[0, 0]).softmax(dim=0)[grey])
print(f"the grey image is called a {grey} with probability {p_grey:.2f}")
print(f"another class is ahead somewhere on the way in {others_lead.mean():.0%} of the images")
print(f"median change of the largest logit, whoever has it: {np.median(of_largest):+.1f}")
print(f"median sum of the contributions to the top class: {np.median(summed):+.1f}")
figure, ax = plt.subplots(figsize=(4.6, 2.4), layout="constrained")
for class_ in range(10):
    shown = class_ in (grey, labels[one])
    ax.plot(
        100 * doses,
        path[:, one, class_],
        color={labels[one]: "C3", grey: "C0"}.get(class_, "0.8"),
        label=f"class {class_}" if shown else None,
        zorder=2 + shown,
    )
ax.set(xlabel="on the way from grey to the image (%)", ylabel="logit")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# The image is the 3 from above; the other eight classes are grey lines. A target such as "the
# largest logit" would explain another class at the start than at the end, and its change even has
# the wrong sign here. `top_class` chooses the class at the full image and keeps it.
#
# `contrast_top2` explains the winner minus the second, and `of_probabilities` takes any target of
# the softmax: here the probability that the image is a 1, a 4 or a 7, digits of straight strokes.
# The softmax bends the path, so that five steps are not enough, as the gap tells; with a
# `tolerance` each image gets as many as it needs.

# %%
straight = [1, 4, 7]
of_set = rc.contributions.of_probabilities(rc.contributions.superclass(straight))
straight_ones = test[np.isin(labels[test], straight)][::2]
made = {
    name: rc.contributions.integrated_gradients(
        network, images[straight_ones], layers=[layer], target=of_set, progress=False, **steps
    )[layer]
    for name, steps in (
        ("P(1, 4 or 7), 5 steps", {"n_steps": 5, "rule": "secant"}),
        ("P(1, 4 or 7), tolerance 1 %", {"tolerance": 0.01}),
    )
}
shown = {f"{name}, 5 steps": records[layer] for name, records in explained.items()} | made
of_targets = pd.DataFrame(
    {
        name: {
            "images": len(record.values),
            "median change": np.median(record.target_value - record.baseline_value),
            "median gap (%)": 100 * np.nanmedian(record.relative_gap),
            "95th percentile (%)": 100 * np.nanpercentile(record.relative_gap, 95),
        }
        for name, record in shown.items()
    }
).T
alike = {
    name: np.median(
        rc.statistics.sample_correlations(explained["top class"][name], explained["contrast"][name])
    )
    for name in known.layers
}
print("r of contributions to the top class and to the contrast, over features, median image:")
print(", ".join(f"{name} {r:.2f}" for name, r in alike.items()))
of_targets.round(2)

# %% [markdown]
# Explaining a class and explaining it against the second best are related, but not the same
# question. The other tutorials on images explain the top class.

# %% [markdown]
# ## 3. Your own network, your own pictures
#
# `load_image_network` takes `"efficientnet-lite0"`, `"torchvision:resnet50"`,
# `"timm:vit_base_patch16_224"`, the folder of a network that was saved here, or
# `"package.module:function"`. Any other module needs four things to become an `ImageNetwork`: how
# pictures are prepared, what its classes are called, which layers to explain, and whether these put
# out maps (channel axis 1) or tokens (-1). `matching_layers` names layers by patterns.
#
# Pictures lie in one folder for each class, or beside a table `labels.csv`. We write a few digits
# as PNG files and read them back.

# %%
mine = rc.networks.ImageNetwork(
    network=torch.nn.Sequential(network, torch.nn.Softmax(dim=1)).eval(),
    prepare=rc.stimuli.Preparation(size=(8, 8), mean=known.prepare.mean, std=known.prepare.std),
    class_names=known.class_names,
    layers=rc.contributions.matching_layers(torch.nn.Sequential(network), "0.block?"),
    name="mine",
)
print("layers:", ", ".join(mine.layers))
print("all first ReLUs:", ", ".join(rc.contributions.matching_layers(network, "**.relu1")))
with tempfile.TemporaryDirectory() as folder:
    for number in test[:30]:
        place = Path(folder) / str(labels[number])
        place.mkdir(exist_ok=True)
        grey_levels = (255 * pictures[number]).round().astype(np.uint8)
        Image.fromarray(grey_levels).save(place / f"{number}.png")
    samples = rc.networks.images_for(mine, folder)
    from_folder = rc.contributions.integrated_gradients(
        mine.network,
        samples,
        layers=mine.layers,
        target=rc.contributions.top_class(),
        progress=False,
        tolerance=0.01,
    )
    folder_labels = np.asarray(samples.labels)
    said = rc.networks.predict(mine.network, samples).argmax(axis=1)
print(f"{len(folder_labels)} pictures; {(said == folder_labels).mean():.0%} right")
print(f"median gap {100 * np.nanmedian(from_folder['0.block3'].relative_gap):.2f} %")

# %% [markdown]
# All parts of the tutorials on images (this one and 11 to 13), for all layers, with a page that
# shows them, are one command:
#
#     retina-codec images run pictures --network efficientnet-lite0 --out results
#
# It can be interrupted and goes on where it stopped. `retina-codec images control results` and the
# like do one part. For the networks here:
#
#     retina-codec images run digits --network models/digits_cnn --out results
