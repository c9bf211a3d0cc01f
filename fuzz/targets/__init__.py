"""One module a target: `ONE`, a function of the input's bytes that raises if a promise is broken."""
