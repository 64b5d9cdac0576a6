"""Files in and out: what an audio file is, its samples in blocks, its metadata, and outputs that appear whole."""
