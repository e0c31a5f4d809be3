"""Save and load every record; put results into the NWB file they come from, or a copy of it."""

from ._files import load, save
from ._nwb import add_to_nwb, append_to_nwb

__all__ = ["add_to_nwb", "append_to_nwb", "load", "save"]
