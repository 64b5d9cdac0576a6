"""The report as a page: one HTML file with everything in it, to be read on a screen, printed, or sent to a client."""
