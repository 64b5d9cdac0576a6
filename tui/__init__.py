"""All that a person touches: the command line and the full-screen app."""
