"""What opens over the desk: lists to choose from, forms to fill in, questions to answer."""
