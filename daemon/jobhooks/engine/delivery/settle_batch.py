"""The content of one settle batch, which is written in one transaction. Data."""

from dataclasses import dataclass, field

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome


@dataclass(slots=True)
class SettleBatch:
    """Results and backlog changes: ``parked`` deliveries get an entry, the entries of ``done`` ones are deleted."""

    successes: list[tuple[Delivery, Outcome]] = field(default_factory=list[tuple[Delivery, Outcome]])
    failures: list[tuple[Delivery, Outcome]] = field(default_factory=list[tuple[Delivery, Outcome]])
    parked: list[Delivery] = field(default_factory=list[Delivery])
    done: list[Delivery] = field(default_factory=list[Delivery])

    def __bool__(self) -> bool:
        return bool(self.successes or self.failures or self.parked or self.done)
