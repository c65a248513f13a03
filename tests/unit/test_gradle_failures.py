"""What Gradle prints when it fails becomes a cause and a next step."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.build.gradle_failures import explain_failure

RECORDED = Path(__file__).parents[1] / "data" / "gradle_errors"

EXPECTED = {
    "bad_java_home": ("JAVA_HOME does not name a JDK /usr/lib/jvm/java-17-gone", "JDK 17"),
    "certificate": ("certificate of a server is not trusted", "keytool -importcert"),
    "connection_refused": ("server cannot be reached (Connection refused)", "gradle.properties"),
    "daemon_gone": ("for want of memory", "org.gradle.workers.max"),
    "dependency": (
        "no com.microsoft.onnxruntime:onnxruntime-android:9.9.9 in the repositories",
        "ort.android in app.properties",
    ),
    "disk_full": ("disk is full", "free some space"),
    "distribution": ("distribution that was fetched is not the one", "build again"),
    "heap": ("Gradle ran out of memory", "-Xmx"),
    "java_error": ("Legacy.java:12: cannot find symbol", "mend that line"),
    "key_alias": ("the key upload cannot be read", "keyAlias"),
    "keystore_missing": ("/srv/me/keys/release.jks of the signing config release", "put it there"),
    "keystore_password": ("password of the keystore /srv/me/keys/release.jks", "keytool"),
    "kotlin_error": (
        "MainActivity.kt:31: Unresolved reference 'modle'. (and 1 more)",
        "mend that line",
    ),
    "licence_of_ndk": ("licences of the Android SDK", 'sdkmanager "ndk;27.0.12077973"'),
    "licences": (
        "not accepted for platforms;android-36, build-tools;36.0.0",
        'sdkmanager "platforms;android-36" "build-tools;36.0.0"',
    ),
    "local_aar": ("an AAR of your own cannot go into the AAR of :sdk", "build :app or :bench"),
    "lock": ("another Gradle holds journal cache", "./gradlew --stop"),
    "manifest": ("minSdkVersion 21 cannot be smaller than version 24", "AndroidManifest.xml"),
    "new_java": ("do not fit together", "JDK 17"),
    "no_java": ("there is no Java", "install a JDK 17"),
    "no_network": ("maven.example.org cannot be found", "connect this machine"),
    "no_sdk": ("there is no Android SDK", "set ANDROID_HOME"),
    "offline": ("onnxruntime-android:1.23.0 was never fetched", "without --offline"),
    "old_java": ("it needs Java 17, and Java 11 runs", "set JAVA_HOME to a JDK 17"),
    "old_java_for_gradle": ("it needs Java 17, and Java 11 runs", "set JAVA_HOME to a JDK 17"),
    "platform_missing": ("the Android SDK lacks android-36", "sdkmanager"),
    "proxy": ("proxy refuses the connection", "systemProp.https.proxyUser"),
    "r8_missing_class": (
        "R8 misses javax.annotation.processing.Processor, javax.tools.Diagnostic",
        "/srv/me/reader/bench/build/outputs/mapping/release/missing_rules.txt",
    ),
    "resource_error": ("strings.xml:4: resource style/AppTheme", "mend that line"),
    "sdk_directory_missing": ("/opt/android-sdk, does not exist", "sdk.dir"),
    "something_else": (
        "Execution failed for task ':app:lintVitalRelease'; Lint found fatal errors",
        None,
    ),
    "unknown_task": ("no task :bench:assembleRelease", "--module"),
}


def test_every_recording_is_expected_and_says_what_it_stands_for() -> None:
    assert {path.stem for path in RECORDED.glob("*.txt")} == set(EXPECTED)
    for path in RECORDED.glob("*.txt"):
        assert path.read_text().startswith("# "), path


@pytest.mark.parametrize("name", sorted(EXPECTED))
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_failure_has_a_cause_and_a_next_step(name: str, line_end: str) -> None:
    cause, step = EXPECTED[name]
    recorded = (RECORDED / f"{name}.txt").read_text().partition("\n")[2]
    failure = explain_failure(recorded.replace("\n", line_end))
    assert cause in failure.cause
    if step is None:
        assert failure.next_step is None
    else:
        assert step in (failure.next_step or "")
    assert not failure.cause.endswith(("\n", " "))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_warnings_before_it_change_nothing(name: str) -> None:
    recorded = (RECORDED / f"{name}.txt").read_text().partition("\n")[2]
    noise = (
        "> Configure project :app\nWARNING: The option setting 'android.x' is experimental.\n"
        "> Task :sdk:preBuild UP-TO-DATE\nw: file:///p/A.kt:1:1 Checksum or hash unused.\n"
    )
    assert explain_failure(noise + recorded) == explain_failure(recorded)


@given(log=st.text(max_size=400))
def test_whatever_is_printed_there_is_a_cause(log: str) -> None:
    assert explain_failure(log).cause


def test_nothing_printed_is_said_so() -> None:
    assert explain_failure("").cause == "it printed nothing"
