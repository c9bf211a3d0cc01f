"""Claims events and runs, and keeps the pipeline busy within its bounds."""
