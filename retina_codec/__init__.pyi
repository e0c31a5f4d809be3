# What `import retina_codec` brings, for type checkers, editors, and the lazy loading itself.
from . import (
    causal,
    cli,
    contributions,
    datatypes,
    decomposition,
    explorer,
    export,
    figures,
    networks,
    phenomena,
    pipeline,
    receptive_fields,
    recordings,
    report,
    simulation,
    statistics,
    stimuli,
)

__version__: str

__all__ = [
    "causal",
    "cli",
    "contributions",
    "datatypes",
    "decomposition",
    "explorer",
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
]
