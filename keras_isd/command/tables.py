"""The tables that parts of the command write."""

import csv


def write_table(path, titles, rows):
    """Writes a table with its first line of titles, and says so."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(titles)
        for row in rows:
            table.writerow([f"{x:.4f}" if isinstance(x, float) else x for x in row])
    print(f"written to {path}")
