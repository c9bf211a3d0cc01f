"""Reads the settings and says precisely what is wrong with them: which setting, where it stands, what is allowed."""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_origin

import msgspec
import yaml
from dotenv import dotenv_values
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError
from pydantic_settings.sources import EnvSettingsSource

from tidegate.config.models import ENV_PREFIX, Settings
from tidegate.config.show import without_password
from tidegate.core.errors import ConfigurationError

DEFAULT_FILE = "tidegate.yml"
DOTENV_FILE = ".env"
FILE_SUFFIX = "__FILE"
MAX_SECRET_FILE_BYTES = 65_536


def load_settings(
    config_file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the settings: `overrides` (command line), then the environment, then `.env`, then the YAML file.

    A variable NAME__FILE gives NAME the content of a file, as container secrets want. Raises
    ConfigurationError that lists every problem.
    """
    directory = directory or Path.cwd()
    variables = _variables(os.environ if environ is None else environ, "the environment")
    dotenv_path = directory / DOTENV_FILE
    dotenv = _variables(_read_dotenv(dotenv_path), str(dotenv_path))
    file_path = config_file or directory / DEFAULT_FILE
    document = _read_yaml(file_path, required=config_file is not None)
    problems = [*_unknown_variables(variables, "the environment"), *_unknown_variables(dotenv, DOTENV_FILE)]
    if problems:
        raise ConfigurationError("\n".join(problems))

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(_Given(settings_cls, source) for source in given)

    try:
        given = (dict(overrides or {}), _parsed(variables), _parsed(dotenv), document)
        return Loaded()
    except SettingsError as error:
        raise ConfigurationError(f"the settings cannot be read: {error}") from None
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(error, variables, dotenv, file_path))) from None


class _Given(PydanticBaseSettingsSource):
    """A source whose values were read before."""

    def __init__(self, settings_cls: type[BaseSettings], values: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self._values = values

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self._values)


def _parsed(variables: Mapping[str, str]) -> dict[str, Any]:
    """Let pydantic-settings turn variables into nested values."""

    class Source(EnvSettingsSource):
        def _load_env_vars(self) -> Mapping[str, str | None]:
            return {name.lower(): value for name, value in variables.items()}

    return Source(Settings)()


def _variables(environ: Mapping[str, str], place: str) -> dict[str, str]:
    """Tidegate's own variables, with NAME__FILE replaced by NAME and the file's content."""
    ours = {name.upper(): value for name, value in environ.items() if name.upper().startswith(ENV_PREFIX)}
    for name in [name for name in ours if name.endswith(FILE_SUFFIX)]:
        path = Path(ours.pop(name))
        target = name.removesuffix(FILE_SUFFIX)
        if target in ours:
            raise ConfigurationError(f"{target} and {name} are both set in {place}: keep one of them")
        try:
            content = path.read_bytes()[: MAX_SECRET_FILE_BYTES + 1]
        except OSError as error:
            raise ConfigurationError(f"{name} in {place}: {path} cannot be read: {error.strerror}") from None
        if len(content) > MAX_SECRET_FILE_BYTES:
            raise ConfigurationError(
                f"{name} in {place}: {path} is larger than {MAX_SECRET_FILE_BYTES} bytes"
            )
        ours[target] = content.decode(errors="replace").rstrip("\r\n")
    return {name: _as_list(name, value) for name, value in ours.items()}


def _as_list(name: str, value: str) -> str:
    """A setting that takes several values may be written with commas instead of as a JSON list."""
    *section, field = name.removeprefix(ENV_PREFIX).lower().split("__")
    known = _section(tuple(section)).model_fields.get(field)
    if known is None or get_origin(known.annotation) is not tuple or value.lstrip().startswith("["):
        return value
    return msgspec.json.encode([part.strip() for part in value.split(",") if part.strip()]).decode()


def _read_dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def _read_yaml(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.is_file():
        if required:
            raise ConfigurationError(f"the settings file {path} does not exist")
        return {}
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"the settings file {path} cannot be read: {error}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationError(f"the settings file {path} must be a mapping of names to values")
    return {str(name): value for name, value in document.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _unknown_variables(variables: Mapping[str, str], place: str) -> Iterator[str]:
    known = sorted(Settings.model_fields)
    for name, value in sorted(variables.items()):
        first, _, rest = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if first not in known:
            yield f"{name} in {place} is not a setting{_hint(first, known, ENV_PREFIX)}"
        elif not rest and _section((first,)) is not Settings and not value.lstrip().startswith("{"):
            inner = ", ".join(_section((first,)).model_fields)
            yield f"{name} in {place} is a group of settings: set {name}__<NAME>; there are: {inner}"


def _explain(
    error: ValidationError, variables: Mapping[str, str], dotenv: Mapping[str, str], file_path: Path
) -> Iterator[str]:
    for problem in error.errors():
        loc = tuple(str(part) for part in problem["loc"])
        name = ".".join(loc)
        place = _place(loc, variables, dotenv, file_path)
        if problem["type"] == "extra_forbidden":
            section = _section(loc[:-1])
            yield f"{name} in {place} is not a setting{_hint(loc[-1], sorted(section.model_fields), '')}"
        else:
            given = "" if _is_secret(loc) else f", got {_shown(problem['input'])}"
            yield f"{name} in {place}: {problem['msg']}{given}"


def _place(
    loc: tuple[str, ...], variables: Mapping[str, str], dotenv: Mapping[str, str], file_path: Path
) -> str:
    for depth in range(len(loc), 0, -1):
        variable = ENV_PREFIX + "__".join(loc[:depth]).upper()
        if variable in variables:
            return f"the environment ({variable})"
        if variable in dotenv:
            return f"{DOTENV_FILE} ({variable})"
    return f"{file_path.name} or the command line"


def _section(loc: tuple[str, ...]) -> type[BaseModel]:
    model: type[BaseModel] = Settings
    for part in loc:
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return model


def _is_secret(loc: tuple[str, ...]) -> bool:
    model = _section(loc[:-1])
    field = model.model_fields.get(loc[-1])
    return field is None or field.annotation is SecretStr or loc[:2] == ("integration", "config")


def _shown(value: object) -> str:
    """A wrong value as people may see it: a URL may carry a password."""
    return repr(without_password(value) if isinstance(value, str) else value)


def _hint(name: str, known: list[str], prefix: str) -> str:
    close = get_close_matches(name.lower(), known, n=1)
    if close:
        return f": did you mean {prefix}{close[0].upper() if prefix else close[0]}?"
    return f"; there are: {', '.join(known)}"
