"""Measurements: loudness and true peak, null tests, alignment, and what is wrong with a file."""
