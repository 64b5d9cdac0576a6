"""What a person can ask for, each thing one operation: the command line, the app and a worker all run these."""
