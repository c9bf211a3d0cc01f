"""What a process does: take webhooks in, work on them, show operators what goes on. One process may do all."""

from enum import StrEnum


class Role(StrEnum):
    """One part of a service."""

    INGRESS = "ingress"
    WORKER = "worker"
    ADMIN = "admin"


EVERY_ROLE = frozenset(Role)


def roles_of(choice: str) -> frozenset[Role]:
    """What a lone process does for the setting `role`; it shows operators in any case."""
    return EVERY_ROLE if choice == "all" else frozenset({Role(choice), Role.ADMIN})
