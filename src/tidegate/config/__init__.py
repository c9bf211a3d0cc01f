"""Settings: environment, `.env` and a YAML file, read once into frozen models."""

from tidegate.config.load import load_settings
from tidegate.config.models import Settings
from tidegate.config.show import masked, origin_of

__all__ = ["Settings", "load_settings", "masked", "origin_of"]
