"""What a failed `npm ci` or `npm run build` means: a cause in plain words, and the next step.

The rules look for words that npm, Node.js, TypeScript, Vite and esbuild print. Several may stand in
one log, for one failure causes others: the first rule that applies wins, so what lies deepest comes
first. All were written from what these tools printed (`tests/data/npm_errors`).
"""

from __future__ import annotations

import re
from typing import Final

from ortlab.build.failures import BuildFailure, Match, Rule, explain_by, last_line, rule

_TYPE_ERROR: Final = (
    r"^(?P<path>[^\s(][^\n(]*\.(?:ts|tsx|mts))\((?P<line>\d+),\d+\): error (?P<code>TS\d+): "
    r"(?P<what>.+)$"
)
_MEND: Final = "mend that line; what ortlab generated itself is written anew by ortlab generate"
_NETWORK: Final = "check the network and npm's proxy settings (npm config list), then build again"


def explain_npm_failure(log: str) -> BuildFailure:
    """Return why a build of a web project failed, from all that npm and its tools printed."""
    return explain_by(_RULES, log, _own_words)


def _type_errors(found: Match) -> BuildFailure:
    lines = list(re.finditer(_TYPE_ERROR, found.string, re.MULTILINE))
    first = lines[0]
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    place = f"{first['path']}:{first['line']}"
    what = first["what"].strip().rstrip(".")
    return BuildFailure(cause=f"the types do not fit: {place}: {what}{more}", next_step=_MEND)


def _lock_out_of_date(found: Match) -> BuildFailure:
    line = re.search(r"^npm error (?P<what>(?:Invalid|Missing): .+)$", found.string, re.MULTILINE)
    said = f": {line['what'].strip()}" if line else ""
    return BuildFailure(
        cause=f"package-lock.json does not fit package.json{said}",
        next_step="npm install in the project brings the lock up to date",
    )


_RULES: Final = (
    rule(
        r"ENOSPC|EDQUOT|[Nn]o space left on device",
        "the disk is full",
        "free some space (npm cache clean --force does, too), then build again",
    ),
    rule(
        r"JavaScript heap out of memory",
        "Node.js ran out of memory",
        "close other programs, or give it more: NODE_OPTIONS=--max-old-space-size=4096",
    ),
    Rule(pattern=re.compile(_TYPE_ERROR, re.MULTILINE), explain=_type_errors),
    # the project's own files
    rule(
        r"JSON\.parse (?:Invalid|Failed to parse) (?P<path>\S*\.json)[^\n]*?: (?P<what>.+)",
        "{path} is no JSON: {what}",
        "mend that file",
    ),
    rule(
        r"can only install with an existing package-lock\.json",
        "the project has no package-lock.json",
        "ortlab generate brings it back, or npm install in the project makes one",
    ),
    Rule(
        pattern=re.compile(r"npm error code EUSAGE[\s\S]*are in sync|are in sync\."),
        explain=_lock_out_of_date,
    ),
    rule(
        r"Missing script: \"(?P<name>[^\"]+)\"",
        "package.json has no script named {name}",
        "take it over from a project that is generated into a new directory",
    ),
    rule(
        r"npm error code EINTEGRITY",
        "a package that was fetched is not the one that package-lock.json names",
        "build again after npm cache verify; if it fails again, ask who answers for the registry",
    ),
    rule(
        r"^(?P<path>[^\s:][^\n:]*):(?P<line>\d+):\d+: ERROR: (?P<what>.+)$",
        "the code does not parse: {path}:{line}: {what}",
        _MEND,
    ),
    rule(
        r"Rollup failed to resolve import \"(?P<what>[^\"]+)\" from \"(?P<path>[^\"]+)\"",
        "{path} imports {what}, which is not installed",
        "npm install {what} in the project, or take the import out",
    ),
    rule(
        r"Could not resolve \"(?P<what>[^\"]+)\" from \"(?P<path>[^\"]+)\"",
        "{path} imports {what}, and there is no such file",
        "mend that import; ortlab generate writes its own files anew",
    ),
    # the network and the registry
    rule(
        r"npm error code E407|407 Proxy Authentication Required|npm error tunneling socket",
        "the proxy refuses the connection",
        "set npm's proxy with its user and password: npm config set https-proxy URL",
    ),
    rule(
        r"npm error code (?:\w*SELF_SIGNED_CERT\w*|UNABLE_TO_\w+|CERT_\w+|ERR_TLS_\w+)",
        "the certificate of the registry is not trusted, as behind a company's proxy",
        "npm config set cafile FILE, with the certificate of the one who signed it",
    ),
    rule(
        r"npm error code E(?:401|403)",
        "the registry asks for a login that npm does not have",
        "npm login, or mend the registry and its token in .npmrc",
    ),
    rule(
        r"npm error 404[^\n]*requested resource '(?P<what>[^']+)'"
        r"|npm error notarget No matching version found for (?P<other>\S+)\.",
        "the registry has no {what}{other}",
        "check the registry (npm config get registry), or choose another version in package.json",
    ),
    rule(
        r"npm error code ENOTCACHED",
        "a package was never fetched, and npm works offline",
        "build once with a network, without npm's setting offline",
    ),
    rule(
        r"getaddrinfo \w+ (?P<host>[\w.-]+)",
        "{host} cannot be found: there is no network, or no name service",
        _NETWORK,
    ),
    rule(
        r"npm error code (?P<why>ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH"
        r"|ERR_SOCKET_TIMEOUT|EIDLETIMEOUT|E5\d\d)",
        "the registry cannot be reached ({why})",
        _NETWORK,
    ),
    # the machine
    rule(
        r"(?:EACCES|EPERM|EROFS): [\w -]+, \w+ '(?P<path>[^']+)'",
        "{path} may not be written",
        "give yourself the right to write in the project, without running npm as root",
    ),
    rule(
        r"does not support Node\.js v(?P<used>\d[\d.]*\d)|Unsupported engine[^\n]*\n[\s\S]*?"
        r"current: \{ node: 'v(?P<other>[\d.]+)'",
        "Node.js {used}{other} is too old for this npm or the project's tools",
        "install Node.js 20 or later; ortlab doctor shows what is there",
    ),
    rule(
        r"(?:sh|bash|zsh): (?:\d+: |line \d+: )?(?P<what>tsc|vite): (?:command )?not found"
        r"|Cannot find module '[^']*node_modules/(?P<other>[^'/]+)",
        "the project's packages are not installed: {what}{other} is missing",
        "npm ci in the project, then build again",
    ),
    rule(
        r"You installed esbuild for another platform|Cannot find module @rollup/rollup-",
        "the project's packages were installed on another kind of machine",
        "delete node_modules of the project, then build again",
    ),
)


def _own_words(text: str) -> str:
    """Return what npm or Vite itself says went wrong, else the last line."""
    for pattern in (
        r"^error during build:\n(?P<what>.+)$",
        r"^npm error (?!code |errno |A complete log|\s*$)(?P<what>.+)$",
    ):
        if found := re.search(pattern, text, re.MULTILINE):
            return found["what"].strip().rstrip(".")
    return last_line(text)
