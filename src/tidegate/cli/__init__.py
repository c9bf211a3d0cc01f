"""The command line: serve and operate."""
