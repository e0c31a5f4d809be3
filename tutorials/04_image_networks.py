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
# # Image networks
#
# A network says "3". Which hidden channels made it say so, in which combination, where in the
# image, and does it stop when they are taken away? The same functions that ask a model of the
# retina about a ganglion cell ask a classifier about a class.
#
# We take two small networks that were trained on handwritten digits of 8 x 8 pixels: a residual
# network (CNN) and a vision transformer (ViT). Everything runs in about a minute on two cores.
# Classes, modes and channels are chosen on 360 images and tested on 359 others; neither network was
# trained on any of them. Numbers stand beside chance, and some results go against the method.

# %%
import tempfile
import textwrap
import warnings
from dataclasses import replace
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
# question. From here on the target is the top class.

# %% [markdown]
# ## 3. Across depth, beside chance
#
# How few channels carry an image (Hoyer sparsity), in how many dimensions do contributions vary,
# and do channels that promote also suppress? Chance for sparsity are Gaussian numbers with the
# mean, standard deviation and sign of each feature; for the others each feature is shuffled over
# images by itself.

# %%
activations = rc.contributions.activations(
    network, images, layers=known.layers, target=rc.contributions.top_class(), progress=False
)
at_grey = rc.contributions.activations(
    network,
    np.zeros_like(images[:1]),
    layers=known.layers,
    target=rc.contributions.top_class(),
    progress=False,
)
net, positive = rc.statistics.net_of_channels, rc.statistics.promoting
forms = {
    "contributions, net": {name: net(r) for name, r in explained["top class"].items()},
    "contributions, promoting": {name: positive(r) for name, r in explained["top class"].items()},
    "activations": {name: net(r) for name, r in activations.items()},
    "activations less those of grey": {
        name: replace(net(r), values=net(r).values - net(at_grey[name]).values)
        for name, r in activations.items()
    },
}
by_layer = rc.statistics.layer_statistics(explained["top class"], n_controls=10)
by_form = pd.concat(
    {form: rc.statistics.layer_statistics(r, n_controls=10) for form, r in forms.items()},
    names=["form"],
).reset_index("form")
sparsity = by_form[by_form["statistic"] == "sparsity"].pivot(
    index="form", columns="layer", values=["value", "chance"]
)
rc.figures.plot_layer_statistics(by_layer)
plt.show()
sparsity.loc[list(forms)].round(2)

# %% [markdown]
# - **Sparsity** grows from the first to the second block; from there it depends on the form. In the
#   first block it is hardly above chance, in the others clearly.
# - **Signs and offsets matter.** In the last block activations look much less sparse than the
#   promoting contributions. But activations never go below 0 and have an offset, and Gaussian
#   numbers with this sign and offset look less sparse too. Less the activations of grey, their
#   sparsity is what chance gives, in every block. So compare a value with its own chance first;
#   `net_of_channels` and `promoting` bring both into one form.
# - **Dimensions** are far fewer than those of shuffled features and do not grow with depth. Ten
#   classes do not need more.
# - **Excitation and inhibition**: a channel that promotes the class of an image does not suppress
#   it as well; r is below chance in each block. In the ResNet-50 of the paper it begins near 1 and
#   falls with depth. Nothing like that is seen in three blocks of a small network.

# %% [markdown]
# ## 4. Modes and classes
#
# A **mode** is a sparse motif of features; its **loading** says how much of it there is in an
# image. Modes are fitted on the images for selection. R² is for the others. For comparison, we also
# fit modes of the activations of the last block.

# %%
method = rc.decomposition.SparseModes(n_modes=24)
modes = {
    name: rc.decomposition.decompose(record, method, held_out=~selection)
    for name, record in explained["top class"].items()
}
activation_modes = rc.decomposition.decompose(activations[layer], method, held_out=~selection)
pd.DataFrame(
    {
        name: {
            "modes": len(found.dictionary),
            "held-out R²": found.r2,
            "active modes in an image": found.active_per_sample,
        }
        for name, found in (*modes.items(), (f"{layer}, activations", activation_modes))
    }
).T.round(2)

# %%
how = {"n_classes": 10, "samples": chosen_on, "test": test, "n_draws": 1000}
of_classes = {
    name: {"contribution modes": rc.statistics.class_modes(found, labels, **how)}
    for name, found in modes.items()
}
of_classes[layer]["activation modes"] = rc.statistics.class_modes(activation_modes, labels, **how)
for name in known.layers:
    for kind, record in (
        ("contributions of channels", forms["contributions, promoting"][name]),
        ("activations of channels", forms["activations"][name]),
    ):
        of_classes[name][kind] = rc.statistics.class_features(record, labels, **how)
summary = rc.statistics.class_summary(of_classes)
rc.figures.plot_class_modes(summary)
plt.show()


def best_of_each_class(values):
    """Take what goes best with each class, and tell its mean r on the images for tests."""
    chosen, tested = (
        rc.statistics.class_correlations(np.asarray(values)[some], labels[some])
        for some in (chosen_on, test)
    )
    return tested[np.nan_to_num(chosen, nan=-1).argmax(axis=0), range(10)].mean()


best_r = pd.DataFrame(
    {
        name: {
            "contribution modes": best_of_each_class(modes[name].loadings),
            "contributions of channels": best_of_each_class(
                forms["contributions, promoting"][name].values
            ),
            "activations of channels": best_of_each_class(forms["activations"][name].values),
        }
        for name in known.layers
    }
)
best_r.loc["activation modes", layer] = best_of_each_class(activation_modes.loadings)
print("r of the best one for each class, on the images for tests, mean over classes:")
print(best_r.round(2).to_string(na_rep=""))
table = of_classes[layer]["contribution modes"]
table[["best_class", "r", "r_test", "chance", "q", "firing", "rare"]].rename_axis("mode").round(3)

# %% [markdown]
# Nearly all modes that could be tested are class modes (q < 0.05 and r > 0.2), each class has one,
# and on images on which nothing was chosen r is as high. Modes that fire in fewer than 20 images
# are `rare` and get no q: a mode that fires in two images of one class would look good by chance.
# The best mode of a class goes with it better than the best channel does. Two cautions:
#
# - **Contributions know the class that they explain.** The derivative of its logit is in them, also
#   in the first block, where activations of channels go with classes less. A high r in an early
#   layer does not say that the layer recognises digits.
# - **Activation modes go with classes just as well** in the last block. Going with a class is not
#   the same as making the network see it. For this, something must be taken away.

# %% [markdown]
# ## 5. Are the channels of a mode necessary, and are they enough?
#
# We remove the channels that a ranking calls most important for a class, or keep only these, and
# ask what is left of the class and of the other classes, on images for tests. Rankings come from
# the images for selection:
#
# - the mode that goes best with the class, of contributions or of activations;
# - the mean contribution, or the mean activation, of images of the class less that of others;
# - activation times gradient;
# - random channels: as many, or as many as deviate together as much ("equal mass").
#
# **What does removed mean?** A channel has to put out something. Contributions count from the grey
# image, so we let removed channels put out what they put out for **grey**; and, as most studies do,
# **zero**. A third way favours neither: what they put out for another image (**resampled**).

# %%
gradients = rc.contributions.activation_times_gradient(
    network, images, layers=[layer], target=rc.contributions.top_class(), progress=False
)
at = {"index": chosen_on}
rankings = {
    "contribution mode": rc.causal.by_class_mode(modes[layer], labels, **at),
    "mean contribution": rc.causal.by_class_mean(contributions, labels, **at),
    "activation mode": rc.causal.by_class_mode(activation_modes, labels, **at),
    "mean activation": rc.causal.by_class_mean(activations[layer], labels, **at),
    "activation x gradient": rc.causal.by_gradient(gradients[layer], labels, **at),
}
controlled = {
    name: rc.causal.class_control(
        network,
        images[test],
        labels[test],
        layer=layer,
        rankings=rankings,
        classes=range(10),
        doses=(0.05, 0.1, 0.25, 0.5),
        towards=towards,
        n_random=2,
        n_others=40,
        progress=False,
    )
    for name, towards in (
        ("grey", rc.causal.grey),
        ("zero", rc.causal.zero),
        ("resampled", rc.causal.resampled()),
    )
}
for name in ("grey", "zero"):
    grid = rc.figures.plot_class_control(controlled[name])
    grid[0, 0].figure.suptitle(f"removed towards {name}")
plt.show()

# %%
costs = pd.concat(
    {name: rc.causal.control_costs(found) for name, found in controlled.items()}, names=["towards"]
).reset_index("towards")
costs = costs[costs["measure"] == "accuracy"]
removed = costs[costs["kind"] == "ablated"]
columns = pd.MultiIndex.from_product([controlled, [0.1, 0.25]], names=["towards", "dose"])
lost, lost_by_others = (
    100
    * removed.pivot(index="ranking", columns=["towards", "dose"], values=value).loc[
        list(dict.fromkeys(removed["ranking"])), columns
    ]
    for value in ("own_cost", "others_cost")
)
print("accuracy that the class loses, mean over classes; in brackets the other classes (%)")
(lost.round() + 0.0).map("{:.0f}".format) + (lost_by_others.round() + 0.0).map(" ({:.0f})".format)

# %% [markdown]
# **The winners are opposite.**
#
# - Towards grey, a tenth of the channels, by the contribution mode, costs the class most of its
#   accuracy and the others little. Activations, also times the gradient, point to channels that
#   nobody misses.
# - Towards zero the same channels cost nothing: a tenth of the channels is not enough for any
#   ranking, and at a quarter activation times gradient takes most of the class and the contribution
#   mode nothing.
# - Random channels are no rival where they are as many. Where they deviate as much they hurt the
#   class and all others alike.
# - **The class-mean contribution is as good as the mode.** To find the channels of one class,
#   a decomposition is not needed.
#
# Why opposite? Behind the last block there are only a mean over space and a linear layer, so that
# we can write down what each ranking counts:

# %%
weights = network.head.weight.detach().numpy()
with torch.no_grad(), rc.contributions.probed(network, ["pool"]) as found:
    network(torch.from_numpy(np.concatenate([images, np.zeros_like(images[:1])])))
pooled = found["pool"].detach().numpy()[:, :, 0, 0]
by_hand = weights[predicted] * (pooled[:-1] - pooled[-1])
error = np.abs(net(contributions).values - by_hand).max()
print(f"contribution of a channel = weight x (activation - activation for grey): error {error:.0e}")
tenth = controlled["grey"].query("kind == 'ablated' and dose == 0.1")
by_class = tenth.pivot(index="ranking", columns="class", values="own_cost")
with_first = removed.set_index(["towards", "dose", "ranking"])
beyond = ["first_difference", "first_difference_low", "first_difference_high"]
for key in (
    ("grey", 0.1, "activation x gradient"),
    ("grey", 0.1, "random of equal mass"),
    ("grey", 0.1, "mean contribution"),
    ("zero", 0.25, "activation x gradient"),
    ("resampled", 0.25, "activation x gradient"),
    ("resampled", 0.25, "random of equal mass"),
):
    middle, low, high = 100 * with_first.loc[key, beyond].astype(float)
    print(f"{key[0]}, {key[1]:.0%}: contribution mode against {key[2]}: ", end="")
    print(f"{middle:+.0f} points ({low:+.0f} to {high:+.0f})")
print("accuracy that each class loses, contribution mode, towards grey, 10 % (%):")
(100 * by_class.loc[["contribution mode"]]).round(0).astype(int)

# %% [markdown]
# The contribution of a channel is *exactly* what the logit loses when the channel goes to grey, and
# activation times gradient what it loses when the channel goes to zero. Each ranking wins the test
# that counts from the same baseline as it does, so neither result says that one is better at
# finding what the network uses. They answer different questions: what told this image from grey,
# and what holds the logit up at all. With channels of another image, which favour neither, a tenth
# of the channels is nothing; at a quarter the contribution mode is some points ahead of random
# channels, and hardly of activation times gradient (the points above are what the class loses more
# than the others; intervals are over classes). State the baseline with every result, and try
# several.
#
# Grey is also not neutral: it is called a 9. So the 9 cannot lose anything by it, a network of
# which little is kept says 9 to everything, and the 0, second at grey, loses nothing either.

# %% [markdown]
# ## 6. A mode in an image
#
# Which pixels made a mode contribute? Contributions that belong to the mode are traced back to the
# pixels by one backward pass. The gallery shows, for a class with several modes, the images
# that excite each most, lit where the mode uses them. It illustrates and proves nothing. Below,
# what these modes do in one and the same image, in which at least two of them are active: raise
# the target, or lower it.

# %%
seven = 7
items = rc.receptive_fields.gallery_items(
    modes[layer],
    labels,
    class_=seven,
    n_modes=3,
    n_images=4,
    n_others=2,
    class_names=known.class_names,
)
gallery = rc.receptive_fields.gallery_maps(
    network,
    images,
    items,
    target=rc.contributions.top_class(),
    contributions=contributions,
    modes=modes[layer],
)
rc.figures.plot_gallery(gallery, pictures)
three = items["mode"].unique()
active = rc.receptive_fields.active_modes(modes[layer])[:, three]
sevens = test[(labels[test] == seven) & (predicted[test] == seven)]
n_active = active[sevens].sum(axis=1)
print(f"of the {len(sevens)} images of a {seven} for tests, ", end="")
print(", ".join(f"{(n_active == n).sum()} have {n} of these modes active" for n in range(4)))
second = np.sort(np.asarray(modes[layer].loadings)[sevens][:, three], axis=1)[:, 1]
in_one = rc.receptive_fields.mode_maps(
    network,
    images,
    target=rc.contributions.top_class(),
    contributions=contributions,
    modes=modes[layer],
    index=sevens[[second.argmax()]],
    which=three,
)
rc.figures.plot_maps(in_one, pictures)
plt.show()

# %% [markdown]
# Do such maps find the pixels that matter? **Insertion** shows pixels of an image in the order of a
# map, on grey, and measures the probability of the class; **deletion** hides them in this order. A
# good map makes the probability grow early and fall early. The maps of all modes together compete
# with other maps (the picture has the best Grad-CAM), with edges, which know nothing of the
# network, and with random order. Maps of modes are made along the path from grey, or at the image.

# %%
scored = test[np.linspace(0, len(test) - 1, 32).astype(int)]
of_top = rc.contributions.top_class()
every_mode = {"which": range(len(modes[layer].dictionary)), "index": scored}
makers = {
    "modes": rc.receptive_fields.mode_map(
        contributions, modes[layer], points=rc.receptive_fields.midpoints(20), **every_mode
    ),
    "modes, at the image": rc.receptive_fields.mode_map(contributions, modes[layer], **every_mode),
    "gradient x input": rc.receptive_fields.gradient_times_input,
    "integrated gradients": rc.receptive_fields.integrated_gradients_map(),
    **{f"Grad-CAM, {name}": rc.receptive_fields.grad_cam(name) for name in known.layers},
    "edges": rc.receptive_fields.edge_map,
}
maps = {name: make(network, images[scored], of_top) for name, make in makers.items()}
inserted = rc.causal.insertion_deletion(
    network,
    images[scored],
    maps,
    target=rc.contributions.of_probabilities(of_top),
    block=1,
    progress=False,
)
insertion = rc.causal.insertion_summary(inserted)
others = [f"Grad-CAM, {name}" for name in known.layers if name != "block2"]
rc.figures.plot_insertion(
    inserted[~inserted["method"].isin(others)],
    insertion[~insertion["method"].isin(others) & ~insertion["rival"].isin(others)],
    method="modes",
)
plt.show()
of_modes = insertion[insertion["method"] == "modes"].drop(columns=["method", "n_images"])
of_modes.set_index(["kind", "rival"]).round(3)

# %% [markdown]
# The maps of all modes together beat Grad-CAM of any block, edges and random order. They are as
# good as the maps that they split, and no better: at the image itself they sum to gradient x input,
# and along the path to integrated gradients, but for what no mode explains. What modes add is
# *which combination* used a pixel, not a better place. On images of 8 x 8 pixels this test says
# little about how well people understand such maps.

# %% [markdown]
# ## 7. Steer, and flip
#
# A mode can be scaled while the network runs: 0 removes it, 2 doubles it. Controls give the mode's
# weights to random channels.

# %%
best = rc.statistics.class_correlations(
    np.asarray(modes[layer].loadings)[selection], labels[selection]
)
shown_class = int(labels[one])
mode = int(best[:, shown_class].argmax())
of_class = test[labels[test] == shown_class]
steering = rc.causal.steering_curve(
    network,
    images[of_class],
    modes[layer],
    mode=mode,
    classes=[shown_class, grey],
    towards=rc.causal.grey,
)
rc.figures.plot_steering(steering)
plt.show()
named = steering.assign(what=np.where(steering["control"] == 1, "random channels", f"mode {mode}"))
named[named["factor"].isin([0, 1, 2])].pivot(
    index=["class", "factor"], columns="what", values=["mean", "low", "high"]
).round(2)

# %% [markdown]
# Without the mode (factor 0) the network stops to see its class, and calls the images what it
# calls grey; random channels cost much less. Doubling shows nothing: the class is nearly certain
# anyway, and random channels raise it almost as far.
#
# How many modes have to go before the network says something else? For two images of each class
# the smallest set is sought; the control gives the shares of the modes to random channels and
# searches as hard. In the picture, what reaches its last step was not flipped at all.

# %%
flips = rc.causal.flipping_modes(
    network,
    images,
    contributions,
    modes[layer],
    index=np.concatenate([test[labels[test] == class_][:2] for class_ in range(10)]),
    towards=rc.causal.grey,
    progress=False,
)
rc.figures.plot_flips(flips)
plt.show()
print(f"one mode is enough in {(flips['n_modes'] == 1).mean():.0%} of the images, ", end="")
print(f"at most two in {(flips['n_modes'] <= 2).mean():.0%}; ", end="")
print(f"no set of modes in {flips['n_modes'].isna().mean():.0%}")
print(f"mean number where a set was found: {flips['n_modes'].mean():.1f}; ", end="")
found = flips.dropna(subset="n_modes")
print(f"random channels, same images: {found['permuted_n_modes'].mean():.1f}, ", end="")
print(f"modes in random order: {found['random_n_modes'].mean():.1f}")
stuck = flips[flips["n_modes"].isna()]
print(f"images that nothing flips: {len(stuck)}, of these called a {grey}: ", end="")
print((stuck["predicted"] == grey).sum())
to_grey = (found["flipped_to"] == grey).mean()
print(f"the others become a {grey} in {to_grey:.0%}")

# %% [markdown]
# One mode is enough in most images. But **the control does as well**: whoever may choose among two
# dozen sets of channels finds one that flips the image. Removal in random order needs many more
# modes, so it is the search that makes the difference, not the mode. Images that are called what
# grey is called cannot be flipped by going towards grey.

# %% [markdown]
# ## 8. A transformer
#
# The ViT hands on tokens: 16 patches and a class token, which alone is read in the end.
# `tokens_by_sign` pools over them as `by_sign` does over space. `tokens_by_sign(CLS)` keeps what
# went through the class token.

# %%
seen = images[test]
pooled_by = rc.contributions.tokens_by_sign
steps = {"target": of_top, "n_steps": 10, "rule": "trapezoid", "progress": False}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # That heads do not cut the network was said in section 1.
    of_tokens, of_cls = (
        rc.contributions.integrated_gradients(
            vit.network, seen, layers=vit.layers, pooling=pooling, **steps
        )
        for pooling in (pooled_by(), pooled_by(rc.contributions.CLS))
    )
    of_heads, heads = (
        rc.contributions.integrated_gradients(
            vit.network, seen, layers=vit.head_layers, pooling=pooling, **steps
        )
        for pooling in (pooled_by(), rc.contributions.heads_by_sign(vit.n_heads))
    )
    head_activations = rc.contributions.activations(
        vit.network,
        seen,
        layers=vit.head_layers,
        target=of_top,
        pooling=pooled_by(),
        progress=False,
    )
of_blocks = pd.DataFrame(
    {
        name: {
            "gap (%)": 100 * np.nanmedian(of_tokens[name].relative_gap),
            "through the class token (%)": 100
            * np.asarray(of_cls[name].values).sum()
            / np.asarray(of_tokens[name].values).sum(),
            **{
                f"head {head} (logit)": value
                for head, value in enumerate(net(heads[inside]).values.mean(axis=0))
            },
        }
        for name, inside in zip(vit.layers, vit.head_layers, strict=True)
    }
).T
of_blocks.round(2)

# %% [markdown]
# The class token gathers what the patches hold, block after block. With ten steps the gap stays
# small.
#
# Are heads the units of this network? If they are, few heads carry an image: sparsity over heads is
# higher than over random groups of as many channels.

# %%
by_head = pd.concat(
    [
        rc.statistics.head_sparsity(
            {name.removesuffix(".attention.heads"): r for name, r in records.items()},
            vit.n_heads,
            n_draws=200,
        ).assign(kind=kind)
        for kind, records in (("contributions", of_heads), ("activations", head_activations))
    ]
)
rc.figures.plot_heads(by_head)
plt.show()
by_head.set_index(["kind", "layer"]).round(3)

# %% [markdown]
# Contributions of heads are sparser than those of random groups in the two last blocks (p < 0.05),
# not in the first two; activations of heads are not, in any block. The difference is small, and
# sparsity over four heads is not far from that of Gaussian numbers: several heads share each image.
# In this network heads are at most a little more than groups of channels.

# %% [markdown]
# ## 9. Your own network, your own pictures
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
# All parts of this tutorial, for all layers, with a page that shows them, are one command:
#
#     retina-codec images run pictures --network efficientnet-lite0 --out results
#
# It can be interrupted and goes on where it stopped. `retina-codec images control results` and the
# like do one part. For the networks here:
#
#     retina-codec images run digits --network models/digits_cnn --out results
