"""Steady noise: what is learnt of it (`profile`), how it is turned down (`suppress`), and the step (`denoiser`)."""
