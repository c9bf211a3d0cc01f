"""What became of the inputs of one attack."""

from dataclasses import dataclass, field


@dataclass
class Tally:
    """`wrong` were accepted though they must not be; `crashes` raised, answered 5xx, or killed. Both must be 0.

    `refused` is None where nobody knows which of the inputs should be.
    """

    attack: str
    tried: int = 0
    refused: int | None = 0
    wrong: int = 0
    crashes: int = 0
    detail: str = ""
    examples: list[str] = field(default_factory=list)

    def refuse(self) -> None:
        self.tried += 1
        self.refused = (self.refused or 0) + 1

    def accept_wrongly(self, what: object) -> None:
        self.tried += 1
        self.wrong += 1
        self.examples.append(f"accepted: {what}"[:500])

    def crash(self, what: object) -> None:
        self.tried += 1
        self.crashes += 1
        self.examples.append(f"crashed: {what}"[:500])

    @property
    def clean(self) -> bool:
        return not (self.wrong or self.crashes)
