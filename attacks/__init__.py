"""Attacks on the real thing, and a table of what became of them: tried, refused, accepted wrongly, crashes."""
