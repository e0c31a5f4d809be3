"""CODEC for the retina: which interneurons made this ganglion cell fire, in which combination.

The submodules are the steps of the analysis, in the order in which the data flows: `datatypes`,
`stimuli`, `simulation`, `recordings`, `networks`, `contributions`, `statistics`, `decomposition`,
`receptive_fields`, `causal`, `phenomena`, `figures`, `report`, `export`, `pipeline`, `explorer`.
They load when first used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
