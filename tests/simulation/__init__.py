"""Random schedules of the whole pipeline on virtual time: `python -m tests.simulation --help`."""
