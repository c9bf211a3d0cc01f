"""The web console: pages for people, made on the server.

`routes` and what renders need the extra `console`; what only finds words and numbers does not, and the command
line says the same with them.
"""
