"""What is wrong with a master, measured on it and on its stems, and values of presets that follow from it."""
