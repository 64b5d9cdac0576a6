"""What carries sound along a time map: engines that are one operator for all sounds that go through them."""
