"""The commands of the lab, below ``ortlab lab``; each module adds its own to `app`."""

import typer

from device_lab.cli import answers, cluster, gate, lab

app = typer.Typer(
    name="lab",
    help="Many models, many phones, many hosts, unattended.",
    epilog="Start with: ortlab lab init, then: ortlab lab agent",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)

for module in (lab, cluster, answers, gate):
    module.add_to(app)
