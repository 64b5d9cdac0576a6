"""What the steps of the clean-up bench reach on damage that was made from clean music and speech."""
