"""The test kit for integration authors: harness, fake clock, Port stub, conformance suites."""
