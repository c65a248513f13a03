"""The process that speaks to one iPhone: the only importer of pymobiledevice3.

``python -m ortlab.devices.ios.worker UDID`` answers questions on its standard input until that
ends. A process of its own, since a tunnel to an iPhone can be open only once in a process, and
since what it imports is under the GPL and large. Connections are kept between questions; one that
broke is opened anew by the next question.
"""
