"""Time: tempo and beats, the maps made from them, and the engines that warp sound along a map."""
