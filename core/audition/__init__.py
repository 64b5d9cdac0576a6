"""Listening: source, repair and difference side by side, computed as the render computes them, on three ways out."""
