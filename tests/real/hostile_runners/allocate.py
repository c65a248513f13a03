"""Takes memory until it gets no more."""

kept = []
while True:
    kept.append(bytes(64 << 20))
