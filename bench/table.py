"""A table for a terminal and for a page."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    title: str
    head: list
    rows: list

    def text(self):
        widths = [max(len(row[column]) for row in [self.head] + self.rows) for column in range(len(self.head))]
        lines = [self.title]
        for row in [self.head] + self.rows:
            cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
            lines.append("  " + "  ".join(cells).rstrip())
        return "\n".join(lines) + "\n"

    def markdown(self):
        lines = [f"#### {self.title}", "", "| " + " | ".join(self.head) + " |",
                 "|---|" + "---:|" * (len(self.head) - 1)]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join(lines) + "\n"
