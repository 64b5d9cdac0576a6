"""What is heard of time: attacks, beats, bars, and taps of a person."""
