"""One module for each command: options to a call, a result to figures."""
