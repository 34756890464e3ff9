"""The table of faults: how often each was tried, and what it cost."""

from collections import defaultdict
from dataclasses import dataclass, field

from tests.bench.tables import table


@dataclass(slots=True)
class Row:
    """One kind of fault."""

    tried: int = 0
    lost: int = 0
    twice: int = 0
    repeated: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Report:
    """Faults by name."""

    def __init__(self) -> None:
        self._rows: defaultdict[str, Row] = defaultdict(Row)

    def note(
        self, fault: str, *, completed: bool, transcripts: int, repeated: int, seconds: float
    ) -> None:
        """One fault, and what became of the task it hit."""
        row = self._rows[fault]
        row.tried += 1
        row.lost += not completed
        row.twice += transcripts > 1
        row.repeated.append(repeated)
        row.seconds.append(seconds)

    def show(self) -> None:
        """Print the table."""
        rows = [
            (
                fault,
                row.tried,
                row.lost,
                row.twice,
                max(row.repeated),
                f"{max(row.seconds):.0f}",
            )
            for fault, row in self._rows.items()
        ]
        heads = ["fault", "tried", "lost", "done twice", "windows repeated", "seconds to the end"]
        print()
        print(table(heads, rows))
