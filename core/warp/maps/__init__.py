"""Time maps: made from tempi, grids and other recordings, and exchanged with other programs."""
