"""The command line: words in, one call of the core, figures out. No command knows anything about audio."""
