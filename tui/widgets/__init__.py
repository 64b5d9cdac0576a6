"""What the screens are built of: widgets that draw what they are given and say what was done to them."""
