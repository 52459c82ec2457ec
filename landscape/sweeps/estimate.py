"""What the first chunks of a sweep say about the rest."""

import math
import statistics

from landscape.progress import duration, size
from landscape.sweeps.engines import Row
from landscape.sweeps.plan import Plan


class Estimate:
    """Chunks that compiled and chunks that did not, apart: the first of a program in a process also compiles it."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.rows = plan, []  # type: ignore[var-annotated]
        self.seen: dict[str, set] = {}  # process -> programs
        self.first: list[float] = []  # seconds of the first chunk of each process, which also starts everything
        self.cold: list[float] = []
        self.warm: list[float] = []

    def add(self, index: int, row: Row) -> None:
        """Take the seconds of a chunk that this run computed into account."""
        known, program = self.seen.setdefault(row.run, set()), self.plan.program(index)
        kind = self.warm if program <= known else self.cold if known else self.first
        kind.append(row.finished - row.started)
        known |= program
        self.rows.append(row)

    def ready(self, left: int) -> bool:
        """Whether there is something to go by: a chunk that did not compile, if there will ever be one."""
        return bool(self.warm or (self.cold and self.programs >= self.plan.grid.chunks) or not left) and self.count > 1

    @property
    def count(self) -> int:
        """Chunks so far."""
        return len(self.rows)

    @property
    def programs(self) -> int:
        """Programs in all, if all numbers are traced."""
        return self.plan.programs()[0]

    @property
    def together(self) -> float:
        """How many chunks were computed at a time."""
        span = max(row.finished for row in self.rows) - min(row.started for row in self.rows)
        return max(1.0, sum(row.finished - row.started for row in self.rows) / max(span, 1e-9))

    def seconds(self, left: int) -> float:
        """Seconds that ``left`` chunks take, with the programs that they compile as far as that has been measured."""
        steady = statistics.mean(self.warm or self.cold or self.first)
        compiling = max(0.0, statistics.median(self.cold) - steady) if self.cold else 0.0
        return (left * steady + self.unseen * compiling) / self.together

    @property
    def unseen(self) -> int:
        """Programs that no process has compiled yet."""
        return max(0, self.programs - len(set().union(*self.seen.values())))

    def describe(self, left: int, room: float) -> str:
        """What is to come for the ``left`` chunks, and the ``room`` of all on disk."""
        another = statistics.mean(self.warm or self.cold) if self.warm or self.cold else math.nan
        unknown = f", beside compiling {self.unseen} more programs" if self.unseen and not self.cold else ""
        return (
            f"the first chunk took {duration(self.first[0])}, {'the next' if self.count == 2 else 'later ones'} "
            f"{duration(another)}: about {duration(self.seconds(left))} for the {left} left{unknown}, "
            f"and {size(room)} on disk in all"
        )
