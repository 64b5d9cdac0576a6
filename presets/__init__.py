"""Repair presets that ship with unbake: TOML files beside this one, data only."""
