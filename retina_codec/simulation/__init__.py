"""Retinal circuits with known interneurons, wiring and cell types, and recordings from them."""

from .circuit import Circuit
from .recording import circuit_rates, simulate_recording

__all__ = ["Circuit", "circuit_rates", "simulate_recording"]
