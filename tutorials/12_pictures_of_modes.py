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
# # 12. Pictures of modes
#
# **You learn** where in an image a mode is, whether maps of modes find the pixels that matter, and
# what scaling a mode or removing modes does to the answer.\
# **You need** tutorial 8, and the idea of a mode (tutorial 4).\
# **It takes** about twenty seconds.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

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

modes = {
    layer: rc.decomposition.decompose(
        contributions, rc.decomposition.SparseModes(n_modes=24), held_out=~selection
    )
}
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
    target=of_top,
    contributions=contributions,
    modes=modes[layer],
)
rc.figures.plot_gallery(gallery, pictures)
plt.show()

# %% [markdown]
# **Above:** which pixels made a mode contribute? Contributions that belong to a mode of the last
# block are traced back to the pixels by one backward pass. The gallery shows, for the class 7,
# which has several modes, the images that excite each most, lit where the mode uses them. It
# illustrates and proves nothing.
#
# ## 1. Modes in one image
#
# Below, what these modes do in one and the same image, in which at least two of them are active:
# raise the target, or lower it.

# %%
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
    target=of_top,
    contributions=contributions,
    modes=modes[layer],
    index=sevens[[second.argmax()]],
    which=three,
)
rc.figures.plot_maps(in_one, pictures)
plt.show()

# %% [markdown]
# ## 2. Do such maps find the pixels that matter?
#
# **Insertion** shows pixels of an image in the order of a
# map, on grey, and measures the probability of the class; **deletion** hides them in this order. A
# good map makes the probability grow early and fall early. The maps of all modes together compete
# with other maps (the picture has the best Grad-CAM), with edges, which know nothing of the
# network, and with random order. Maps of modes are made along the path from grey, or at the image.

# %%
scored = test[np.linspace(0, len(test) - 1, 32).astype(int)]
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
# ## 3. Steer, and flip
#
# A mode can be scaled while the network runs: 0 removes it, 2 doubles it. Controls give the mode's
# weights to random channels.

# %%
best = rc.statistics.class_correlations(
    np.asarray(modes[layer].loadings)[selection], labels[selection]
)
shown_class = 3
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
