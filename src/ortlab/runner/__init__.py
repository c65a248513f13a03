"""The benchmark program for Linux hosts and boards: a process of its own, never imported."""
