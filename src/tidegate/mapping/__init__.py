"""The mapping: port-app-config files, and JQ evaluated closed and bounded."""
