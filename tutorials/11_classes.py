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
# # 11. Modes and classes of an image network
#
# **You learn** how contributions change across depth, which modes go with a class, and whether
# their channels are necessary and enough for it.\
# **You need** tutorial 8, and the idea of a mode (tutorial 4).\
# **It takes** about twenty-five seconds.

# %%
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

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
grey = int(rc.networks.predict(network, np.zeros_like(images[:1])).argmax())

of_top = rc.contributions.top_class()
explained = rc.contributions.integrated_gradients(
    network,
    images,
    layers=known.layers,
    target=of_top,
    n_steps=5,
    rule="secant",
    progress=False,
)
layer = "block3"
contributions = explained[layer]
method = rc.decomposition.SparseModes(n_modes=24)
modes = {
    name: rc.decomposition.decompose(record, method, held_out=~selection)
    for name, record in explained.items()
}
activations = rc.contributions.activations(
    network, images, layers=known.layers, target=of_top, progress=False
)
activation_modes = rc.decomposition.decompose(activations[layer], method, held_out=~selection)
net, positive = rc.statistics.net_of_channels, rc.statistics.promoting
how = {"n_classes": 10, "samples": chosen_on, "test": test, "n_draws": 1000}
of_classes = {
    name: {"contribution modes": rc.statistics.class_modes(found, labels, **how)}
    for name, found in modes.items()
}
of_classes[layer]["activation modes"] = rc.statistics.class_modes(activation_modes, labels, **how)
for name in known.layers:
    for kind, record in (
        ("contributions of channels", positive(explained[name])),
        ("activations of channels", net(activations[name])),
    ):
        of_classes[name][kind] = rc.statistics.class_features(record, labels, **how)
summary = rc.statistics.class_summary(of_classes)
rc.figures.plot_class_modes(summary)
plt.show()

# %% [markdown]
# **Above:** how much modes, and single channels, go with classes of handwritten digits, in the
# three blocks of a residual network. A **mode** is a sparse motif of features of the contributions
# to the class that wins; its **loading** says how much of it there is in an image. Modes are
# fitted, and classes and channels chosen, on 360 images for selection; what follows is measured on
# 359 others.
#
# ## 1. Across depth, beside chance
#
# How few channels carry an image (Hoyer sparsity), in how many dimensions do contributions vary,
# and do channels that promote also suppress? Chance for sparsity are Gaussian numbers with the
# mean, standard deviation and sign of each feature; for the others each feature is shuffled over
# images by itself.

# %%
at_grey = rc.contributions.activations(
    network,
    np.zeros_like(images[:1]),
    layers=known.layers,
    target=of_top,
    progress=False,
)
forms = {
    "contributions, net": {name: net(r) for name, r in explained.items()},
    "contributions, promoting": {name: positive(r) for name, r in explained.items()},
    "activations": {name: net(r) for name, r in activations.items()},
    "activations less those of grey": {
        name: replace(net(r), values=net(r).values - net(at_grey[name]).values)
        for name, r in activations.items()
    },
}
by_layer = rc.statistics.layer_statistics(explained, n_controls=10)
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
# ## 2. Modes and classes
#
# R² is for the images for tests. For comparison there are also modes of the activations of the last
# block.

# %%
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
# ## 3. Are the channels of a mode necessary, and are they enough?
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
    network, images, layers=[layer], target=of_top, progress=False
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
