"""The networks, their checkpoint cards, and the registry that finds and verifies weights."""
