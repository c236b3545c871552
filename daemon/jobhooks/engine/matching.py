"""Which hooks a change is for. Pure decisions."""

from dataclasses import dataclass

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.contract.receiver import DeliveryIdentity
from jobhooks.engine.snapshot import Snapshot


@dataclass(frozen=True)
class Hook:
    """An enabled job hook of an enabled job. What ``enabled_since`` sees happened before, and is not its business."""

    id: int
    name: str
    class_path: str
    content_type_ids: frozenset[int]
    events: frozenset[ObjectChangeActionChoices]
    enabled_since: Snapshot

    def matches(self, change: Change) -> bool:
        """Return whether the change is for this hook."""
        return (
            change.content_type.id in self.content_type_ids
            and change.action in self.events
            and not self.enabled_since.sees(change.transaction_id)
        )


@dataclass(frozen=True)
class Delivery:
    """One change owed to one hook."""

    change: Change
    hook: Hook
    attempt: int = 1

    @property
    def identity(self) -> DeliveryIdentity:
        """The three numbers that name this attempt."""
        return DeliveryIdentity(self.change.id, self.hook.id, self.attempt)


def match(changes: list[Change], hooks: list[Hook]) -> list[Delivery]:
    """Return the deliveries that ``changes`` owe to ``hooks``, in the changes' order."""
    return [Delivery(change, hook) for change in changes for hook in hooks if hook.matches(change)]
