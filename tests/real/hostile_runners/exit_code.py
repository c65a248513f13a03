"""Gives up with an exit code and a great many words."""

import sys

sys.stdout.write("word " * 100_000)
sys.stderr.write("the reason\n")
sys.exit(7)
