"""Loads `module:attribute` as ASGI servers do, and says clearly why it cannot."""

import importlib
import sys
import traceback
from pathlib import Path

from tidegate.authoring import Integration
from tidegate.core.errors import ConfigurationError


def load_integration(reference: str, app_dir: Path) -> Integration:
    """Import the module from `app_dir` and take the Integration out of it.

    Raises ConfigurationError: the reference is malformed, the module is absent or raises, the attribute is no
    Integration. If the module raises, the message names the author's own line.
    """
    module_name, separator, attribute = reference.partition(":")
    if not (module_name and separator and attribute):
        raise ConfigurationError(f"{reference!r} is not of the form module:attribute, as in main:integration")
    if not app_dir.is_dir():
        raise ConfigurationError(f"--app-dir {app_dir} is not a directory")
    sys.path.insert(0, str(app_dir.resolve()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == module_name.split(".", 1)[0]:
            raise ConfigurationError(
                f"there is no module {module_name!r} in {app_dir.resolve()}: "
                "name the directory that holds it with --app-dir"
            ) from None
        raise ConfigurationError(f"{module_name} imports {error.name!r}, which is not installed") from None
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"importing {module_name} failed{_where(error)}: {error!r}") from error
    integration = getattr(module, attribute, None)
    if not isinstance(integration, Integration):
        found = "nothing" if integration is None else type(integration).__name__
        names = [name for name, value in vars(module).items() if isinstance(value, Integration)]
        hint = f"; did you mean {module_name}:{names[0]}?" if names else ""
        raise ConfigurationError(f"{reference} should be an Integration, but is {found}{hint}")
    return integration


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
