"""Real processes under real faults: what is tried, and what is lost. `make faults` runs the long version."""
