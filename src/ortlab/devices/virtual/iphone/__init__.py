"""A virtual iPhone: usbmuxd, lockdown and its services, with real files and real processes."""
