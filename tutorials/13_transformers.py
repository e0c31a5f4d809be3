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
# # 13. Transformers
#
# **You learn** to pool contributions over tokens and heads, and whether heads are the units of a
# small vision transformer.\
# **You need** tutorial 8.\
# **It takes** about fifteen seconds.

# %%
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import retina_codec as rc

plt.rcParams.update({"figure.dpi": 80, "font.size": 8, "legend.frameon": False})

project = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / "models").is_dir())
vit = rc.networks.load_image_network(project / "models" / "digits_vit")

images, labels = rc.stimuli.digits("test")
of_top = rc.contributions.top_class()
pooled_by = rc.contributions.tokens_by_sign
steps = {"target": of_top, "n_steps": 10, "rule": "trapezoid", "progress": False}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # That heads do not cut the network was said in tutorial 8.
    of_tokens, of_cls = (
        rc.contributions.integrated_gradients(
            vit.network, images, layers=vit.layers, pooling=pooling, **steps
        )
        for pooling in (pooled_by(), pooled_by(rc.contributions.CLS))
    )
    of_heads, heads = (
        rc.contributions.integrated_gradients(
            vit.network, images, layers=vit.head_layers, pooling=pooling, **steps
        )
        for pooling in (pooled_by(), rc.contributions.heads_by_sign(vit.n_heads))
    )
    head_activations = rc.contributions.activations(
        vit.network,
        images,
        layers=vit.head_layers,
        target=of_top,
        pooling=pooled_by(),
        progress=False,
    )
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

# %% [markdown]
# **Above:** how few heads carry an image (Hoyer sparsity), in each block, beside random groups of
# as many channels. The network is a vision transformer of four blocks with four heads, which was
# trained on handwritten digits; the images are 359 on which it was not.
#
# ## 1. Tokens
#
# The ViT hands on tokens: 16 patches and a class token, which alone is read in the end.
# `tokens_by_sign` pools over them as `by_sign` does over space. `tokens_by_sign(CLS)` keeps what
# went through the class token.

# %%
of_blocks = pd.DataFrame(
    {
        name: {
            "gap (%)": 100 * np.nanmedian(of_tokens[name].relative_gap),
            "through the class token (%)": 100
            * np.asarray(of_cls[name].values).sum()
            / np.asarray(of_tokens[name].values).sum(),
            **{
                f"head {head} (logit)": value
                for head, value in enumerate(
                    rc.statistics.net_of_channels(heads[inside]).values.mean(axis=0)
                )
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
# ## 2. Heads
#
# Are heads the units of this network? If they are, few heads carry an image: sparsity over heads is
# higher than over random groups of as many channels.

# %%
by_head.set_index(["kind", "layer"]).round(3)

# %% [markdown]
# Contributions of heads are sparser than those of random groups in the two last blocks (p < 0.05),
# not in the first two; activations of heads are not, in any block. The difference is small, and
# sparsity over four heads is not far from that of Gaussian numbers: several heads share each image.
# In this network heads are at most a little more than groups of channels.
