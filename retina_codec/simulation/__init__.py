"""Retinal circuits with known interneurons, wiring and cell types; contributions of known modes."""

from .circuit import Circuit
from .planted import planted_contributions
from .recording import circuit_rates, simulate_recording

__all__ = ["Circuit", "circuit_rates", "planted_contributions", "simulate_recording"]
