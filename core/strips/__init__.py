"""What can be done to one stem: the arithmetic behind the session's processors."""
