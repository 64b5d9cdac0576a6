"""The desk: the one main screen, its state, and what its keys do."""
