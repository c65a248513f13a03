"""The template's `gradlew`: what it fetches, refuses, keeps and starts, under every shell here.

The distribution is small and ours; it comes from a server on the loopback interface. Its
`bin/gradle` prints what it was called with.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shlex
import shutil
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ortlab.process import Command, Completed, SystemProcesses

TEMPLATE = Path(__file__).resolve().parents[2] / "android_template"
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
HOSTILE = "a b'c\"d$HOME`x`;[e]*?\\f&ü"
GRADLE = """#!/bin/sh
printf 'argument <%s>\\n' "$@"
exit "${GRADLE_EXIT:-0}"
"""
JAVA = """#!/bin/sh
echo 'openjdk version "@VERSION@" 2026-01-01' >&2
"""
SHELLS = {
    name: command
    for name, command in {
        "sh": ("sh",),
        "dash": ("dash",),
        "bash": ("bash",),
        "busybox": ("busybox", "sh"),
    }.items()
    if shutil.which(command[0])
}
TOOLS = (
    "chmod", "curl", "find", "md5sum", "mkdir", "mktemp", "mv", "openssl", "prlimit", "readlink",
    "rm", "sh", "sha256sum", "shasum", "sleep", "tr", "unzip",
)  # fmt: skip


def distribution() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("gradle-9.9/bin/gradle", GRADLE)  # without its mode, as `jar` unpacks
        archive.writestr("gradle-9.9/lib/gradle-launcher-9.9.jar", os.urandom(200_000))
    return content.getvalue()


@dataclass
class Server:
    """Serves one body under every path.

    Attributes:
        missing_bytes: How much longer than its body the answer claims to be.
        requests: The paths that were asked for.
        meeting: What all requests wait at before they are answered.
        hold: While it is not set, the second half of the body is kept back.
    """

    body: bytes
    missing_bytes: int = 0
    status: int = 200
    requests: list[str] = field(default_factory=list)
    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))
    hold: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/distributions/gradle-9.9-bin.zip"


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server(distribution())
    state.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            state.meeting.wait(30)
            self.send_response(state.status)
            self.send_header("Content-Length", str(len(state.body) + state.missing_bytes))
            self.end_headers()
            half = len(state.body) // 2
            self.wfile.write(state.body[:half])
            if state.hold.wait(60):
                self.wfile.write(state.body[half:])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        state.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield state
        state.hold.set()
        listening.shutdown()
        thread.join()


class Project:
    """A project with our `gradlew`, a Java of its own, and a cache that only it uses."""

    def __init__(self, directory: Path, server: Server) -> None:
        self.directory = directory
        self.home = directory / "gradle home"
        self.bin = directory / "bin"
        (directory / "gradle/wrapper").mkdir(parents=True)
        shutil.copy(TEMPLATE / "gradlew", directory / "gradlew")
        self.bin.mkdir()
        for tool in TOOLS:
            if program := shutil.which(tool):
                (self.bin / tool).symlink_to(program)
        self.write_java("17.0.9")
        self.url = server.url()
        self.write_properties(hashlib.sha256(server.body).hexdigest())

    def write_java(self, version: str) -> None:
        java = self.bin / "java"
        java.write_text(JAVA.replace("@VERSION@", version))
        java.chmod(0o755)

    def write_properties(self, checksum: str, ending: str = "\n") -> None:
        lines = (
            "# a comment",
            "distributionBase=GRADLE_USER_HOME",
            "distributionPath=wrapper/dists",
            f"distributionSha256Sum={checksum}",
            "distributionUrl=" + self.url.replace(":", "\\:"),
            "",
        )
        path = self.directory / "gradle/wrapper/gradle-wrapper.properties"
        path.write_bytes(ending.join(lines).encode())

    def command(
        self,
        *arguments: str,
        shell: tuple[str, ...] = ("sh",),
        file_size_limit_bytes: int | None = None,
        before: str = "",
        **variables: str,
    ) -> Command:
        """Return the start with nothing of our environment; ``before`` runs in its shell."""
        environment = {
            "PATH": str(self.bin),
            "HOME": str(self.directory / "nobody"),
            "GRADLE_USER_HOME": str(self.home),
            **variables,
        }
        program = shutil.which(shell[0])
        env = shutil.which("env")
        assert program is not None
        assert env is not None
        start = (program, *shell[1:])
        if before:
            start = (*start, "-c", before + ' exec "$@"', "sh", *start)
        return Command(
            arguments=(
                env, "-i", *(f"{name}={value}" for name, value in environment.items()),
                *start, str(self.directory / "gradlew"), *arguments,
            ),
            deadline_s=60,
            file_size_limit_bytes=file_size_limit_bytes,
        )  # fmt: skip

    def start(self, *arguments: str, **options: Any) -> Completed:
        return SystemProcesses().run(self.command(*arguments, **options))

    def kept(self) -> list[str]:
        """Return every file of the cache."""
        return sorted(
            str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file()
        )

    def installed(self) -> list[str]:
        """Return the files that a whole installation has, where Gradle's own wrapper looks."""
        number, name = int(hashlib.md5(self.url.encode()).hexdigest(), 16), ""
        while number:
            number, digit = divmod(number, 36)
            name = DIGITS[digit] + name
        directory = f"wrapper/dists/gradle-9.9-bin/{name}"
        files = ("bin/gradle", "lib/gradle-launcher-9.9.jar")
        return [
            f"{directory}/gradle-9.9-bin.zip.ok",
            *(f"{directory}/gradle-9.9/{file}" for file in files),
        ]


@pytest.fixture
def project(tmp_path: Path, server: Server) -> Project:
    return Project(tmp_path / "project", server)


def printed(*arguments: str) -> str:
    given = ("-Dorg.gradle.appname=gradlew", *arguments)
    return "".join(f"argument <{argument}>\n" for argument in given)


# ----------------------------------------------------------------------------------------- works


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_fetches_once_and_starts_without_a_network(
    project: Project, server: Server, shell: tuple[str, ...]
) -> None:
    first = project.start("build", shell=shell)
    assert (first.exit_code, first.stdout) == (0, printed("build")), first.stderr
    assert project.kept() == project.installed()
    server.status = 404
    second = project.start("build", shell=shell)
    assert (second.exit_code, second.stdout, second.stderr) == (0, printed("build"), "")
    assert server.requests == ["/distributions/gradle-9.9-bin.zip"]


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_arguments_and_exit_code_pass_unchanged(project: Project, shell: tuple[str, ...]) -> None:
    arguments = ("-Pa=b c", "", "it's", 'say "$HOME"', "*", "back\\slash", "-g", "two\nlines", "ü")
    completed = project.start(*arguments, shell=shell, GRADLE_EXIT="42")
    assert (completed.exit_code, completed.stdout) == (42, printed(*arguments))


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_hostile_paths(tmp_path: Path, server: Server, shell: tuple[str, ...]) -> None:
    project = Project(tmp_path / HOSTILE, server)
    project.home = tmp_path / HOSTILE / f"home {HOSTILE}"
    completed = project.start("help", shell=shell)
    assert (completed.exit_code, completed.stdout) == (0, printed("help")), completed.stderr
    assert project.kept() == project.installed()


def test_a_link_to_it_finds_its_project(project: Project, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere"
    link.symlink_to("project/gradlew")
    command = project.command("help")
    given = [str(link) if word.endswith("/gradlew") else word for word in command.arguments]
    completed = SystemProcesses().run(Command(arguments=tuple(given), deadline_s=60))
    assert completed.succeeded, completed.stderr
    assert project.kept() == project.installed()


def test_properties_with_windows_line_ends_and_capital_digits(
    project: Project, server: Server
) -> None:
    project.write_properties(hashlib.sha256(server.body).hexdigest().upper(), ending="\r\n")
    assert project.start("help").stdout == printed("help")


def test_without_gradle_user_home_the_home_directory_is_used(project: Project) -> None:
    assert project.start("help", GRADLE_USER_HOME="").succeeded
    project.home = project.directory / "nobody/.gradle"
    assert project.kept() == project.installed()


def test_a_project_may_keep_its_gradle_itself(project: Project) -> None:
    properties = project.directory / "gradle/wrapper/gradle-wrapper.properties"
    properties.write_text(properties.read_text().replace("=GRADLE_USER_HOME", "=PROJECT"))
    assert project.start("help").succeeded
    assert not project.home.exists()
    assert all((project.directory / name).is_file() for name in project.installed())


@pytest.mark.parametrize("tool", ["bsdtar", "jar", "python3"])
def test_other_ways_to_unpack(project: Project, tool: str) -> None:
    program = shutil.which(tool)
    if program is None:
        pytest.skip(f"no {tool}")
    (project.bin / "unzip").unlink()
    starter = project.bin / tool  # some are scripts that need more than the project's PATH
    path = shlex.quote(os.environ["PATH"])
    starter.write_text(f'#!/bin/sh\nPATH={path} exec {shlex.quote(program)} "$@"\n')
    starter.chmod(0o755)
    completed = project.start("help")
    assert completed.stdout == printed("help"), completed.stderr


@pytest.mark.parametrize("gone", [("sha256sum",), ("sha256sum", "shasum", "md5sum")])
def test_other_ways_to_hash(project: Project, gone: tuple[str, ...]) -> None:
    for tool in gone:
        (project.bin / tool).unlink(missing_ok=True)
    perl = shutil.which("perl")
    if perl is not None:
        (project.bin / "perl").symlink_to(perl)
    completed = project.start("help")
    assert completed.stdout == printed("help"), completed.stderr
    assert project.kept() == project.installed()


def test_two_starts_at_once_leave_one_installation(project: Project, server: Server) -> None:
    server.meeting = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(project.start, ("one", "two")))
    assert [completed.stdout for completed in both] == [printed("one"), printed("two")]
    assert project.kept() == project.installed()


def test_what_a_killed_installation_left_is_replaced(project: Project) -> None:
    half = (project.home / project.installed()[0]).parent
    (half / "gradle-9.9/bin").mkdir(parents=True)
    (half / "gradle-9.9/bin/gradle").write_text("#!/bin/sh\nexit 9\n")
    (half / "gradle-9.9-bin.zip.part").write_text("half")
    completed = project.start("help")
    assert (completed.exit_code, completed.stdout) == (0, printed("help")), completed.stderr
    assert project.kept() == project.installed()


# --------------------------------------------------------------------------------------- refuses


def refused(completed: Completed, *words: str) -> None:
    assert completed.exit_code == 1, completed.stderr
    assert completed.stdout == ""
    assert [word for word in words if word not in completed.stderr] == []


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_a_wrong_checksum_is_refused_and_nothing_kept(
    project: Project, server: Server, shell: tuple[str, ...]
) -> None:
    project.write_properties("0" * 64)
    right = hashlib.sha256(server.body).hexdigest()
    refused(project.start("help", shell=shell), "does not match", "0" * 64, right)
    assert list(project.home.rglob(".fetch-*")) == []
    assert project.kept() == []


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_a_cut_download_is_refused_and_nothing_kept(
    project: Project, server: Server, shell: tuple[str, ...]
) -> None:
    server.missing_bytes = 1000
    refused(project.start("help", shell=shell), "cannot download", "cut", "nothing was kept")
    assert list(project.home.rglob(".fetch-*")) == []
    assert project.kept() == []
    server.missing_bytes = 0
    assert project.start("help", shell=shell).succeeded


@pytest.mark.parametrize("how", ["works", "cut", "missing", "slow"])
def test_wget_serves_where_there_is_no_curl(project: Project, server: Server, how: str) -> None:
    program = shutil.which("wget")
    if program is None:
        pytest.skip("no wget")
    (project.bin / "curl").unlink()
    (project.bin / "wget").symlink_to(program)
    server.missing_bytes = 1000 if how == "cut" else 0
    server.status = 404 if how == "missing" else 200
    if how == "slow":
        server.hold.clear()
    completed = project.start("help", GRADLEW_DEADLINE_S="2" if how == "slow" else "30")
    if how == "works":
        assert completed.stdout == printed("help"), completed.stderr
        return
    why = {"cut": "cut", "missing": "does not have it", "slow": "not done in time"}[how]
    refused(completed, "cannot download", why)
    assert project.kept() == []


def test_a_download_that_never_ends_is_ended(project: Project, server: Server) -> None:
    server.hold.clear()
    refused(project.start("help", GRADLEW_DEADLINE_S="1"), "in time", "GRADLEW_DEADLINE_S")
    assert project.kept() == []


def test_without_network(project: Project, server: Server) -> None:
    project.url = "http://127.0.0.1:1/gradle-9.9-bin.zip"
    project.write_properties(hashlib.sha256(server.body).hexdigest())
    refused(project.start("help"), "cannot download http://127.0.0.1:1", "no connection")


def test_a_proxy_of_the_environment_is_asked(project: Project, server: Server) -> None:
    project.url = "http://gradle.invalid/gradle-9.9-bin.zip"
    project.write_properties(hashlib.sha256(server.body).hexdigest())
    proxy = f"http://127.0.0.1:{server.port}"
    assert project.start("help", http_proxy=proxy).stdout == printed("help")
    assert server.requests == ["http://gradle.invalid/gradle-9.9-bin.zip"]


def test_a_file_that_is_not_there(project: Project, server: Server) -> None:
    server.status = 404
    refused(project.start("help"), "the server does not have it")


def test_no_room(project: Project) -> None:
    completed = project.start("help", file_size_limit_bytes=10_000, before="trap '' XFSZ;")
    refused(completed, "cannot write", "No space left on device?")
    assert project.kept() == []


def test_no_zip(project: Project, server: Server) -> None:
    server.body = b"no zip"
    project.write_properties(hashlib.sha256(server.body).hexdigest())
    refused(project.start("help"), "cannot unpack")
    assert project.kept() == []


def test_a_zip_of_something_else(project: Project, server: Server) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("other/readme", "hello")
    server.body = content.getvalue()
    project.write_properties(hashlib.sha256(server.body).hexdigest())
    refused(project.start("help"), "no bin/gradle")
    assert project.kept() == []


def test_no_downloader(project: Project) -> None:
    (project.bin / "curl").unlink()
    refused(project.start("help"), "neither curl nor wget", "install curl")


def test_nothing_to_unpack_with(project: Project) -> None:
    (project.bin / "unzip").unlink()
    refused(project.start("help"), "neither unzip", "install unzip")
    assert project.kept() == []


def test_no_java(project: Project, server: Server) -> None:
    (project.bin / "java").unlink()
    refused(project.start("help"), "no java was found", "JDK 17")
    wrong = str(project.directory / "no such jdk")
    refused(project.start("help", JAVA_HOME=wrong), "JAVA_HOME is set to an invalid", wrong)
    assert server.requests == []


@pytest.mark.parametrize(
    ("version", "fits"),
    [("1.8.0_392", False), ("11.0.2", False), ("17", True), ("21-ea", True), ("25.0.1", True)],
)
def test_java_must_be_17_or_later(project: Project, version: str, fits: bool) -> None:
    project.write_java(version)
    completed = project.start("help")
    if fits:
        assert completed.stdout == printed("help"), completed.stderr
    else:
        refused(completed, "requires Java 17", f"Java {version.removeprefix('1.').split('.')[0]}")


def test_java_home_comes_first(project: Project) -> None:
    home = project.directory / "my jdk"
    (home / "bin").mkdir(parents=True)
    shutil.move(project.bin / "java", home / "bin/java")
    project.write_java("11")
    assert project.start("help", JAVA_HOME=str(home)).stdout == printed("help")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("distributionUrl=http", "distributionUrl=ftp", "distributionUrl"),
        ("distributionSha256Sum=", "noSum=", "distributionSha256Sum"),
        ("distributionSha256Sum=", "distributionSha256Sum=a", "distributionSha256Sum"),
        ("distributionBase=GRADLE_USER_HOME", "distributionBase=MOON", "MOON"),
    ],
)
def test_properties_that_make_no_sense(
    project: Project, server: Server, old: str, new: str, word: str
) -> None:
    properties = project.directory / "gradle/wrapper/gradle-wrapper.properties"
    properties.write_text(properties.read_text().replace(old, new))
    refused(project.start("help"), "cannot use", word)
    properties.unlink()
    refused(project.start("help"), "cannot read")
    assert server.requests == []


# ----------------------------------------------------------------------------------------- files


def test_what_the_template_names() -> None:
    properties = dict(
        line.split("=", 1)
        for line in (TEMPLATE / "gradle/wrapper/gradle-wrapper.properties").read_text().splitlines()
    )
    address = "https\\://services.gradle.org/distributions/gradle-9.4.1-bin.zip"
    assert properties["distributionUrl"] == address
    assert re.fullmatch("[0-9a-f]{64}", properties["distributionSha256Sum"])
    assert os.access(TEMPLATE / "gradlew", os.X_OK)
    for name in ("gradlew", "gradlew.bat"):
        assert not re.search(r"https?://[\w.]", (TEMPLATE / name).read_text()), name
    assert list(TEMPLATE.rglob("*.jar")) == []


def test_the_windows_script_has_windows_line_ends() -> None:
    script = (TEMPLATE / "gradlew.bat").read_bytes()
    assert script.count(b"\r\n") == script.count(b"\n") > 0
    script.decode("ascii")


def test_shellcheck_is_content() -> None:
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("no shellcheck")
    arguments = (program, "--norc", "--severity=style", str(TEMPLATE / "gradlew"))
    checked = SystemProcesses().run(Command(arguments=arguments, deadline_s=60))
    assert checked.succeeded, checked.stdout
