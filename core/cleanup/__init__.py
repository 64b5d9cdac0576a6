"""Before the split: what damages a recording found, and taken out as far as it can be."""
