"""CODEC for the retina: which interneurons made this ganglion cell fire, in which combination.

The submodules are the steps of the analysis, in the order in which the data flows: `datatypes`,
`stimuli`, `simulation`, `recordings`, `networks`, `contributions`, `statistics`, `decomposition`,
`receptive_fields`, `causal`, `phenomena`, `figures`, `report`, `export`, `pipeline`. They load when
first used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "causal",
        "cli",
        "contributions",
        "datatypes",
        "decomposition",
        "export",
        "figures",
        "networks",
        "phenomena",
        "pipeline",
        "receptive_fields",
        "recordings",
        "report",
        "simulation",
        "statistics",
        "stimuli",
    ],
)
