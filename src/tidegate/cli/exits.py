"""Turns errors into one line on standard error and an exit code.

0: done. 1: it failed, or what was asked for does not exist. 2: wrong usage or configuration.
3: something that Tidegate depends on is unavailable; try again. 4: there are differences (`mapping`).
"""

import sys
from collections.abc import Callable

from tidegate.cli.output import EXIT_FAILED, EXIT_UNAVAILABLE, EXIT_USAGE, print_error
from tidegate.core.errors import ConfigurationError, TidegateError, UnavailableError


def guarded(command: Callable[[], object]) -> None:
    """Call a command; exit if it raises an error that is meant for people."""
    try:
        command()
    except ConfigurationError as error:
        print_error(str(error))
        sys.exit(EXIT_USAGE)
    except UnavailableError as error:
        print_error(str(error))
        sys.exit(EXIT_UNAVAILABLE)
    except TidegateError as error:
        print_error(str(error))
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
