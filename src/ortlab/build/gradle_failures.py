"""What a failed Gradle build means: a cause in plain words, and the next step.

The rules look for words that Gradle, the Android plugin, R8, the JDK's tools and our `gradlew`
print. Several may stand in one log, for one failure causes others: the first rule that applies
wins, so what lies deepest comes first.
"""

from __future__ import annotations

import re
from typing import Final

from ortlab.build.failures import (
    BuildFailure,
    Match,
    Rule,
    explain_by,
    last_line,
    rule,
)


def explain_failure(log: str) -> BuildFailure:
    """Return why a Gradle build failed, from all that it printed."""
    return explain_by(_RULES, log, _own_words)


# ------------------------------------------------------------------------------ rules with a list


def _licences(found: Match) -> BuildFailure:
    packages = re.findall(r"^ +([a-z][\w.-]*;[\w.;-]+) ", found.string, re.MULTILINE)
    named = ", ".join(dict.fromkeys(packages)) or "some packages"
    quoted = " ".join(f'"{package}"' for package in dict.fromkeys(packages))
    return BuildFailure(
        cause=f"the licences of the Android SDK were not accepted for {named}",
        next_step=f"sdkmanager --licenses, then sdkmanager {quoted}".rstrip(),
    )


def _compile_errors(found: Match) -> BuildFailure:
    lines = re.finditer(_KOTLIN_ERROR, found.string, re.MULTILINE)
    places = [f"{line['path']}:{line['line']}: {line['what'].strip()}" for line in lines]
    places += [
        f"{line['path']}:{line['line']}: {line['what'].strip()}"
        for line in re.finditer(_JAVA_ERROR, found.string, re.MULTILINE)
    ]
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    return BuildFailure(
        cause=f"the code does not compile: {places[0]}{more}",
        next_step="mend that line; what ortlab generated itself is written anew by ortlab generate",
    )


def _missing_classes(found: Match) -> BuildFailure:
    pattern = r"Missing class ([\w.$]+)"
    classes = list(dict.fromkeys(re.findall(pattern, found.string)))
    named = ", ".join(classes[:3]) + (f" and {len(classes) - 3} more" if len(classes) > 3 else "")
    rules = re.search(r"generated in\s+(\S+missing_rules\.txt)", found.string)
    step = "add the library with it"
    if rules:
        step += f", or, if it is never used, the rules of {rules[1]} to proguard-rules.pro"
    return BuildFailure(cause=f"R8 misses {named or 'classes'}", next_step=step)


_KOTLIN_ERROR: Final = (
    r"^e: (?:file://)?(?P<path>/?[^\n:]+\.kts?):(?P<line>\d+):\d+:? (?P<what>.+)$"
)
_JAVA_ERROR: Final = r"^(?P<path>[^\n: ][^\n:]*\.java):(?P<line>\d+): error: (?P<what>.+)$"

_RULES: Final = (
    rule(
        r"No space left on device|There is not enough space on the disk|ENOSPC",
        "the disk is full",
        "free some space (~/.gradle and old build directories are large), then build again",
    ),
    Rule(
        pattern=re.compile(_KOTLIN_ERROR, re.MULTILINE),
        explain=_compile_errors,
    ),
    Rule(
        pattern=re.compile(_JAVA_ERROR, re.MULTILINE),
        explain=_compile_errors,
    ),
    # our gradlew, before Gradle runs
    rule(
        r"(?i)(?:verification of gradle distribution failed|(?:sha-?256|checksum|hash)\b[^\n]*"
        r"(?:does not match|do not match|mismatch|differs?|is wrong|expected))",
        "the Gradle distribution that was fetched is not the one that the project names",
        "build again: it is fetched anew; if it fails again, ask who answers for the network",
    ),
    rule(
        r"(?i)JAVA_HOME is set to an invalid directory:? *(?P<path>\S*)"
        r"|JAVA_HOME[^\n]*(?:no such|not a JDK|has no|does not)",
        "JAVA_HOME does not name a JDK {path}",
        "set JAVA_HOME to a JDK 17 or later, or unset it; ortlab doctor shows what is there",
    ),
    rule(
        r"(?i)JAVA_HOME is not set and no 'java' command|no java\b[^\n]*found"
        r"|java: (?:command )?not found",
        "there is no Java",
        "install a JDK 17 or later, such as apt-get install openjdk-17-jdk",
    ),
    # the JDK
    rule(
        r"(?:requires Java|requires JVM|at least JVM runtime version) (?P<needed>\d+)"
        r"[\s\S]{0,200}?(?:using Java|use JVM|uses a Java) (?P<used>[\d.]+\d)",
        "it needs Java {needed}, and Java {used} runs",
        "set JAVA_HOME to a JDK {needed} or later",
    ),
    rule(
        r"Unsupported class file major version (?P<version>\d+)|UnsupportedClassVersionError",
        "the Java that runs and the project's Gradle do not fit together",
        "set JAVA_HOME to a JDK 17",
    ),
    rule(
        r"(?i)toolchain[^\n]*(?:languageVersion=|Java )(?P<needed>\d+)"
        r"|No matching toolchains? found",
        "there is no JDK of the version that the project asks for",
        "install a JDK {needed} and set JAVA_HOME to it",
    ),
    # the Android SDK
    rule(
        r"SDK location not found",
        "there is no Android SDK: ANDROID_HOME is not set, and local.properties has no sdk.dir",
        "set ANDROID_HOME to the directory of the Android SDK, or open it in Android Studio",
    ),
    rule(
        r"The SDK directory '(?P<path>[^']+)' does not exist",
        "the Android SDK that is named, {path}, does not exist",
        "set ANDROID_HOME, or sdk.dir in local.properties, to the directory of the Android SDK",
    ),
    Rule(
        pattern=re.compile(
            r"licen[cs]es have not been accepted|License for package .* not accepted"
        ),
        explain=_licences,
    ),
    rule(
        r"Failed to find (?:target with hash string '(?P<platform>[^']+)'|Build Tools revision"
        r" (?P<tools>\S+))|Failed to find Platform SDK with path: platforms;(?P<path>\S+)",
        "the Android SDK lacks {platform}{tools}{path}",
        'sdkmanager "platforms;android-36" "build-tools;36.0.0"',
    ),
    rule(
        r"The SDK directory is not writable|SDK directory is not writable \((?P<path>[^)]+)\)",
        "what is missing from the Android SDK cannot be added: its directory is not writable",
        "make it writable, or install what is missing with sdkmanager",
    ),
    # signing
    rule(
        r"Keystore file '(?P<path>[^']+)' not found for signing config '(?P<name>[^']+)'",
        "the keystore {path} of the signing config {name} is missing",
        "put it there, or name another one in the signing config of the build script",
    ),
    rule(
        r"(?:Failed to read key (?P<key>\S+) from store \"(?P<path>[^\"]+)\": *)?(?:Keystore was"
        r" tampered with, or password was incorrect|keystore password was incorrect)",
        "the password of the keystore {path} is wrong, or the file is damaged",
        "check storePassword of the signing config: keytool -list -keystore FILE asks for it",
    ),
    rule(
        r"Failed to read key (?P<key>\S+) from store \"(?P<path>[^\"]+)\": *(?P<why>[^\n]*)",
        "the key {key} cannot be read from the keystore {path}: {why}",
        "check keyAlias and keyPassword of the signing config",
    ),
    rule(
        r"SigningConfig \"(?P<name>[^\"]+)\" is missing required property \"(?P<what>[^\"]+)\"",
        "the signing config {name} has no {what}",
        "give it in the signing config of the build script",
    ),
    # memory
    rule(
        r"java\.lang\.OutOfMemoryError: Metaspace|JVM (?:heap space|metaspace) is exhausted"
        r"|java\.lang\.OutOfMemoryError|GC overhead limit exceeded|garbage collector thrashing",
        "Gradle ran out of memory",
        "raise -Xmx in org.gradle.jvmargs of gradle.properties",
    ),
    rule(
        r"Gradle build daemon (?:disappeared unexpectedly|has been stopped)",
        "Gradle's daemon was ended by the system, most likely for want of memory",
        "close other programs, or lower -Xmx in org.gradle.jvmargs and set"
        " org.gradle.workers.max=1",
    ),
    # the network
    rule(
        r"Unable to tunnel through proxy|(?i:proxy authentication required)|HTTP/1\.[01] 407",
        "the proxy refuses the connection",
        "set systemProp.https.proxyHost, proxyPort, systemProp.https.proxyUser and proxyPassword"
        " in ~/.gradle/gradle.properties",
    ),
    rule(
        r"PKIX path building failed|unable to find valid certification path",
        "the certificate of a server is not trusted, as behind a company's proxy",
        "add the proxy's certificate to the JDK's trust store with keytool -importcert",
    ),
    rule(
        r"(?:UnknownHostException: |Could not resolve host:? |No such host is known[^\n]*\()"
        r"(?P<host>[\w.-]+)",
        "{host} cannot be found: there is no network, or no name service",
        "connect this machine, or set the proxy in ~/.gradle/gradle.properties",
    ),
    rule(
        r"No cached version of (?P<what>\S+) available for offline mode",
        "{what} was never fetched, and Gradle works offline",
        "build once with a network, without --offline",
    ),
    rule(
        r"(?:Could not (?:GET|HEAD|download)[^\n]*)[\s\S]{0,400}?(?P<why>Connection (?:refused"
        r"|reset|timed out)|[Cc]onnect timed out|Read timed out|Network is unreachable)",
        "a server cannot be reached ({why})",
        "check the network and the proxy in ~/.gradle/gradle.properties, then build again",
    ),
    rule(
        r"(?P<why>Connection refused|[Cc]onnect(?:ion)? timed out|Network is unreachable|Read timed"
        r" out|Remote host terminated the handshake)",
        "the network fails ({why})",
        "check the network and the proxy in ~/.gradle/gradle.properties, then build again",
    ),
    rule(
        r"Could not find (?P<what>[\w.-]+:[\w.-]+:[^\s]+?)\.?\s*$",
        "there is no {what} in the repositories that the project uses",
        "check the version in gradle/libs.versions.toml, or ort.android in app.properties",
    ),
    rule(
        r"Plugin \[id: '(?P<what>[^']+)'[^\]]*\] was not found",
        "the Gradle plugin {what} was not found",
        "check its version in gradle/libs.versions.toml, and the network",
    ),
    rule(
        r"Could not resolve (?!all )(?P<what>[\w.-]+:[\w.-]+:\S+?)\.?\s*$",
        "{what} cannot be fetched",
        "check the network and the proxy in ~/.gradle/gradle.properties, then build again",
    ),
    # the project
    rule(
        r"Direct local \.aar file dependencies are not supported when building an AAR",
        "an AAR of your own cannot go into the AAR of :sdk",
        "build :app or :bench, which may; or publish your AAR to a Maven repository of the project"
        " and give ort.android its version",
    ),
    rule(
        r"Timeout waiting to lock (?P<what>[^.\n]+)",
        "another Gradle holds {what}",
        "wait until it is done, or stop it with ./gradlew --stop",
    ),
    rule(
        r"^(?:ERROR: ?)?(?P<path>[^\s:]+\.xml):(?P<line>\d+)[:\d-]*: AAPT: (?:error: )?"
        r"(?P<what>.+)$",
        "a resource is wrong: {path}:{line}: {what}",
        "mend that line",
    ),
    rule(
        r"Manifest merger failed(?: : | with multiple errors)?(?P<what>[^\n]*)",
        "the manifests cannot be merged: {what}",
        "mend the AndroidManifest.xml that the log names",
    ),
    Rule(
        pattern=re.compile(r"Missing classes detected while running R8|R8: Missing class"),
        explain=_missing_classes,
    ),
    rule(
        r"(?:Cannot locate tasks that match|Task) '(?P<task>[^']+)'[^\n]*not found",
        "the project has no task {task}",
        "check --module and --variant; modules are app and bench, variants release and debug",
    ),
)


def _own_words(text: str) -> str:
    """Return what Gradle itself says went wrong, else the last line."""
    if found := re.search(r"^\* What went wrong:\n(?P<what>(?:.+\n?)+)", text, re.MULTILINE):
        lines = [line.strip(" >\t") for line in found["what"].splitlines()]
        return "; ".join(line.rstrip(".") for line in lines[:3] if line) or "Gradle gives no reason"
    return last_line(text)
