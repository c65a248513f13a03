"""Ends like a C++ program that got no memory."""

import os
import sys

sys.stderr.write("terminate called after throwing an instance of 'std::bad_alloc'\n")
sys.stderr.flush()
os.abort()
