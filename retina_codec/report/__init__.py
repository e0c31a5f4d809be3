"""The page that a run leaves behind: one HTML file that needs nothing else."""

from ._dynamics import Dynamics
from ._page import write_images, write_phenomena, write_report

__all__ = ["Dynamics", "write_images", "write_phenomena", "write_report"]
