"""Print the table of Pocock's alpha that stands in `src/ortlab/statistics.py`.

    python scripts/pocock_table.py

A million experiments without an effect for each set of looks; the seed is fixed.
"""

from __future__ import annotations

from ortlab.statistics import default_looks, simulate_pocock_alpha

FAMILY_ALPHA = 0.05
EXPERIMENTS = 1_000_000
LASTS = (12, 16, 24)


def main() -> None:
    """Print one line for each set of looks that two to eight arms have by default."""
    planned = {default_looks(arm_count, last=last) for arm_count in range(2, 9) for last in LASTS}
    for looks in sorted(planned):
        if len(looks) > 1:
            alpha = simulate_pocock_alpha(looks, FAMILY_ALPHA, experiments=EXPERIMENTS)
            print(f"    {looks}: {alpha:.4f},")


if __name__ == "__main__":
    main()
