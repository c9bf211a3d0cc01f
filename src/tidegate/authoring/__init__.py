"""What integration authors write against: processors and the Integration."""
