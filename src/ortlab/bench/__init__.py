"""Prepared model + device → run: which arms, which block next, and the record on disk."""

from __future__ import annotations

from ortlab.schedule import Done, NextBlock, next_block

__all__ = ["Done", "NextBlock", "next_block"]
