"""Protocol-level phones that real clients talk to, and that run the real benchmark program."""
