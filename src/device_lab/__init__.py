"""A lab of many phones: who measures what next, and what came of it."""
