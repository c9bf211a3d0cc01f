"""Names that are used where vulture cannot see it: read by name, named in a string, called back by a library.

One use a line, with the place that makes it. A name that nothing uses belongs out of the code, not in here.
"""
# ruff: noqa: B018

from html.parser import HTMLParser
from shlex import shlex

from jinja2 import Environment

from tidegate.console.pages.causes import Cause
from tidegate.console.pages.overview import Station
from tidegate.console.pages.queries import EventQuery
from tidegate.console.pages.timeline import AttemptView, Bar, RunView
from tidegate.core.inspection import Backlog
from tidegate.mapping.schema import RuleModel

Backlog.oldest_seconds  # telemetry/metrics.py reads the counts of a Backlog by name
RuleModel  # mapping/schema.py names it in a forward reference
HTMLParser.handle_starttag  # html.parser calls it (tests/docs/test_docs_pages.py)
shlex("").whitespace_split  # shlex reads it (tests/docs/test_docs_code_blocks.py)

# jinja2 reads these, and the console's templates the rest
Environment().filters
Environment().globals
Cause.first_at
Cause.is_of_mapping
Station.facts
Station.alarm
EventQuery.is_empty
Bar.width
AttemptView.waited_seconds
RunView.more_writes
RunView.next_try
