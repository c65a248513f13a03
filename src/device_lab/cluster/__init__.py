"""A lab over several hosts: Dask carries cells to phones, the store is what is true.

``ortlab lab scheduler`` runs a Dask scheduler and, in the same process, a dispatcher that gives
open cells to free phones, one Dask task a cell. ``ortlab lab agent --scheduler`` runs a Dask
worker that offers one resource a phone and measures what arrives. A task carries the id of a cell
and of a phone and nothing else; it leases the cell in the store before it measures, so a task that
is lost, doubled or late changes nothing, and every process may be killed and started again.
"""

from device_lab.cluster.agent import AgentOptions, run_agent
from device_lab.cluster.scheduler import SchedulerOptions, run_scheduler

__all__ = ["AgentOptions", "SchedulerOptions", "run_agent", "run_scheduler"]
