"""What happens to the registry: changes drawn at random from a seed, each possible where the registry stands.

A change that MLflow sends no webhook for is followed by one that it does, about the same model where there is
one left: from there on the catalog can know.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

NAMES = (
    "fraud-detector",
    "churn",
    "price forecast",
    "größen-modell",
    'it\'s a "match"',
    "ranking.v2",
    "spam+ham",
    "~draft",
    "support-triage",
    "demand",
)
ALIASES = ("champion", "challenger", "candidate")
TAG_KEYS = ("owner", "gpu", "validated", "dataset")
TAG_VALUES = ("risk", "growth", "true", "2026-11", "")
STAGES = ("Staging", "Production", "Archived", "None")


@dataclass(frozen=True)
class Change:
    """One call of MlflowClient. `announced`: MLflow sends a webhook for it. `model`: whom it leaves changed,
    None if that model is gone. `effect` keeps account of it.
    """

    call: str
    arguments: dict[str, Any]
    text: str
    announced: bool
    model: str | None
    effect: Callable[[str], object] = lambda _: None


@dataclass
class _Model:
    versions: list[str] = field(default_factory=list[str])
    tags: set[str] = field(default_factory=set[str])
    aliases: set[str] = field(default_factory=set[str])
    version_tags: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def forget(self, version: str) -> None:
        self.versions.remove(version)
        self.version_tags -= {tag for tag in self.version_tags if tag[0] == version}
        self.aliases.clear()  # MLflow drops those of the version; to set the others again does no harm


class Scenario:
    """Draws changes and keeps account of what the registry holds. Call `record` after each, with what it gave."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._models: dict[str, _Model] = {}
        self._names = 0
        self._owed: Change | None = None

    def next(self) -> Change:
        """The next change."""
        silent, self._owed = self._owed, None
        change = self._follow_up(silent) if silent else self._draw()
        if not change.announced:
            self._owed = change
        return change

    @property
    def may_end(self) -> bool:
        """False while the last change was one that MLflow did not announce."""
        return self._owed is None

    def record(self, change: Change, version: str | None) -> None:
        """Account for a change that was made; `version` is that of a model version that it created."""
        change.effect(version or "")

    def _follow_up(self, silent: Change) -> Change:
        """A change of the same model that MLflow announces."""
        name = silent.model
        if name is None or name not in self._models:
            return self._create_model()
        if not self._models[name].versions:
            return self._create_version(name)
        return self._random.choice((self._set_alias, self._set_version_tag, self._create_version))(name)

    def _draw(self) -> Change:
        if len(self._models) < 3:
            return self._create_model()
        name = self._random.choice(sorted(self._models))
        model = self._models[name]
        choices: list[tuple[int, Callable[[str], Change]]] = [
            (5, self._create_version),
            (1, lambda _: self._create_model()),
            (2, self._rename),
            (1, self._describe_model),
            (1, self._set_tag),
        ]
        if model.tags:
            choices.append((1, self._delete_tag))
        if model.versions:
            choices += [(5, self._set_version_tag), (5, self._set_alias), (1, self._describe_version)]
            choices += [(1, self._stage), (2, self._delete_version)]
        if model.aliases:
            choices.append((3, self._delete_alias))
        if model.version_tags:
            choices.append((3, self._delete_version_tag))
        if len(self._models) > 3:
            choices.append((2, self._delete_model))
        draws = self._random.choices([draw for _, draw in choices], [weight for weight, _ in choices])
        return draws[0](name)

    # --- the changes that MLflow announces ---------------------------------------------------------------

    def _create_model(self) -> Change:
        name = self._new_name()
        tags = {"owner": self._pick(TAG_VALUES)}
        arguments = {"name": name, "tags": tags, "description": f"The model {name}"}

        def effect(_: str) -> None:
            self._models[name] = _Model(tags=set(tags))

        return Change("create_registered_model", arguments, f"create model {name}", True, name, effect)

    def _create_version(self, name: str) -> Change:
        source = f"s3://models/{self._random.randrange(10**6):06d}"
        arguments = {"name": name, "source": source, "await_creation_for": 0}
        effect = self._models[name].versions.append
        return Change("create_model_version", arguments, f"create version of {name}", True, name, effect)

    def _set_version_tag(self, name: str) -> Change:
        version, key, value = self._version(name), self._pick(TAG_KEYS), self._pick(TAG_VALUES)
        arguments = {"name": name, "version": version, "key": key, "value": value}
        text = f"tag {name} v{version} {key}={value}"
        tags = self._models[name].version_tags
        return Change(
            "set_model_version_tag", arguments, text, True, name, lambda _: tags.add((version, key))
        )

    def _delete_version_tag(self, name: str) -> Change:
        tags = self._models[name].version_tags
        version, key = self._random.choice(sorted(tags))
        arguments = {"name": name, "version": version, "key": key}
        text = f"untag {name} v{version} {key}"
        return Change(
            "delete_model_version_tag", arguments, text, True, name, lambda _: tags.discard((version, key))
        )

    def _set_alias(self, name: str) -> Change:
        version, alias = self._version(name), self._pick(ALIASES)
        arguments = {"name": name, "alias": alias, "version": version}
        text = f"alias {name} @{alias} → v{version}"
        aliases = self._models[name].aliases
        return Change("set_registered_model_alias", arguments, text, True, name, lambda _: aliases.add(alias))

    def _delete_alias(self, name: str) -> Change:
        aliases = self._models[name].aliases
        alias = self._random.choice(sorted(aliases))
        arguments = {"name": name, "alias": alias}
        text = f"remove alias {name} @{alias}"
        return Change(
            "delete_registered_model_alias", arguments, text, True, name, lambda _: aliases.discard(alias)
        )

    # --- the changes that it does not --------------------------------------------------------------------

    def _rename(self, name: str) -> Change:
        new = self._new_name()
        arguments = {"name": name, "new_name": new}

        def effect(_: str) -> None:
            self._models[new] = self._models.pop(name)

        return Change("rename_registered_model", arguments, f"rename {name} to {new}", False, new, effect)

    def _delete_model(self, name: str) -> Change:
        text = f"delete model {name}"
        return Change(
            "delete_registered_model", {"name": name}, text, False, None, lambda _: self._models.pop(name)
        )

    def _describe_model(self, name: str) -> Change:
        arguments = {"name": name, "description": f"About {name}, revised ({self._random.randrange(1000)})"}
        return Change("update_registered_model", arguments, f"describe {name}", False, name)

    def _set_tag(self, name: str) -> Change:
        key, value = self._pick(TAG_KEYS), self._pick(TAG_VALUES)
        arguments = {"name": name, "key": key, "value": value}
        text = f"tag {name} {key}={value}"
        tags = self._models[name].tags
        return Change("set_registered_model_tag", arguments, text, False, name, lambda _: tags.add(key))

    def _delete_tag(self, name: str) -> Change:
        tags = self._models[name].tags
        key = self._random.choice(sorted(tags))
        arguments = {"name": name, "key": key}
        text = f"untag {name} {key}"
        return Change(
            "delete_registered_model_tag", arguments, text, False, name, lambda _: tags.discard(key)
        )

    def _describe_version(self, name: str) -> Change:
        version = self._version(name)
        text = f"Trained on set {self._random.randrange(1000)}"
        arguments = {"name": name, "version": version, "description": text}
        return Change("update_model_version", arguments, f"describe {name} v{version}", False, name)

    def _stage(self, name: str) -> Change:
        version, stage = self._version(name), self._pick(STAGES)
        arguments = {"name": name, "version": version, "stage": stage}
        text = f"stage {name} v{version} {stage}"
        return Change("transition_model_version_stage", arguments, text, False, name)

    def _delete_version(self, name: str) -> Change:
        version = self._version(name)
        arguments = {"name": name, "version": version}
        forget = self._models[name].forget
        text = f"delete {name} v{version}"
        return Change("delete_model_version", arguments, text, False, name, lambda _: forget(version))

    # --- picking ---------------------------------------------------------------------------------------------

    def _pick(self, values: tuple[str, ...]) -> str:
        return self._random.choice(values)

    def _version(self, name: str) -> str:
        return self._random.choice(self._models[name].versions)

    def _new_name(self) -> str:
        """A name not used before: a reused one would hide a model that should have left the catalog."""
        turn, self._names = divmod(self._names, len(NAMES))[0], self._names + 1
        name = NAMES[(self._names - 1) % len(NAMES)]
        return f"{name} {turn + 1}" if turn else name
