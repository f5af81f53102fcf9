"""The command line: `python -m caplora`."""
