"""The starter app behind its screen, on a JVM with the real runtime: everything but the views."""

from __future__ import annotations

import pytest

from android import core, packaging, toolchain

TEMPLATE = toolchain.ROOT / "android_template"
USER = """
package dev.ortlab.app

import dev.ortlab.sdk.FileModelSource
import dev.ortlab.sdk.ModelStyle
import dev.ortlab.sdk.image.Picture
import dev.ortlab.sdk.models.Models
import java.io.File
import java.io.IOException
import java.util.concurrent.LinkedBlockingQueue

private val mainThread = LinkedBlockingQueue<Runnable>()

/** Plays the main thread until nothing is done any more. */
private fun Starter.settle() {
    while (state.work != Work.NOTHING) mainThread.take().run()
}

private fun tell(what: String, starter: Starter) {
    val state = starter.state
    val answer = state.answer
    val best = answer?.outputs?.single()?.labels?.firstOrNull()
    val words =
        listOf(
            what,
            state.choices.provider.name,
            answer?.variant?.id,
            answer?.providers?.registered?.joinToString("+"),
            answer?.providers?.cpuFallback?.name,
            best?.text,
            answer?.runNanos?.isNotEmpty()?.toString(),
            answer?.memory?.let { it.current in 1..it.peak }?.toString(),
            state.problem?.cause?.javaClass?.simpleName,
            state.pictures.keys.joinToString(),
        )
    println(words.joinToString("|") { it ?: "-" })
}

private fun picture(argb: Int) = Picture(40, 30, IntArray(1200) { argb })

fun main(arguments: Array<String>) {
    val starter = Starter(Models.all, FileModelSource(File(arguments[0])), mainThread::put)
    val steps = ArrayList<Work>()
    starter.observer = { steps += it.work }
    tell("start", starter)
    starter.run()
    starter.run()
    starter.settle()
    tell("sample", starter)
    println("steps|" + steps.joinToString(","))
    for ((name, argb) in listOf("red" to 0xFFF01010.toInt(), "blue" to 0xFF1010F0.toInt())) {
        starter.readPicture("picture", "content://$name") { picture(argb) }
        starter.settle()
        starter.run()
        starter.settle()
        tell(name, starter)
    }
    starter.readPicture("picture", "content://broken") { throw IOException("no picture") }
    starter.settle()
    tell("broken", starter)
    starter.dropPicture("picture")
    starter.choose(Choices(style = ModelStyle.RUNTIME, threads = 2))
    starter.run()
    starter.settle()
    tell("runtime", starter)
    starter.release()
    starter.run()
    starter.settle()
    tell("released", starter)
    for (provider in listOf(ProviderChoice.XNNPACK, ProviderChoice.NNAPI, ProviderChoice.QNN)) {
        starter.choose(starter.state.choices.copy(provider = provider))
        starter.run()
        starter.settle()
        tell("other", starter)
    }
    starter.choose(Choices(style = ModelStyle.ONNX))
    starter.run()
    starter.settle()
    tell("unpackaged", starter)
    starter.close()
    starter.close()
    println("closed")
}
"""

pytestmark = [pytest.mark.requires("kotlin"), pytest.mark.requires("apk")]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    """What a user sees who goes through the app, by the name of the step."""
    work = tmp_path_factory.mktemp("starter")
    (work / "User.kt").write_text(USER)
    app, _, sdk = packaging.compile_app(TEMPLATE, "app").compiled
    user = toolchain.compile_kotlin(
        toolchain.KotlinModule(
            name="user",
            sources=(work / "User.kt",),
            libraries=(app, sdk, toolchain.ONNXRUNTIME),
            friends=(app,),
        ),
        work / "user.jar",
    )
    done = toolchain.java(
        "dev.ortlab.app.UserKt",
        TEMPLATE / "sdk/src/generated/assets",
        classes=(user, app, sdk, toolchain.ONNXRUNTIME, *toolchain.RUNTIME),
        options=(f"-Donnxruntime.native.path={core.native_libraries()}", *core.JVM_OPTIONS),
        deadline_s=60,
    )
    found: dict[str, list[list[str]]] = {}
    for line in done.stdout.splitlines():
        step, *words = line.split("|")
        found.setdefault(step, []).append(words)
    return found


def test_it_starts_with_nothing_done(told: dict[str, list[list[str]]]) -> None:
    assert told["start"] == [["CPU", *["-"] * 7, ""]]


def test_it_runs_the_packaged_sample_once_however_often_run_is_pressed(
    told: dict[str, list[list[str]]],
) -> None:
    (words,) = told["sample"]
    assert words[1:4] == ["fixed-arm", "CPU", "NOTHING"]
    assert words[5:] == ["true", "true", "-", ""]
    assert told["steps"] == [["RUNNING,NOTHING"]]


@pytest.mark.parametrize("colour", ["red", "blue"])
def test_a_picture_is_what_the_model_sees(told: dict[str, list[list[str]]], colour: str) -> None:
    (words,) = told[colour]
    assert words[4] == colour
    assert words[-1] == "picture"


def test_a_broken_picture_leaves_the_last_one_and_its_answer(
    told: dict[str, list[list[str]]],
) -> None:
    (words,) = told["broken"]
    assert words[4] == "blue"
    assert words[-2:] == ["IOException", "picture"]


def test_style_and_threads_hold_from_the_next_run_on(told: dict[str, list[list[str]]]) -> None:
    for step in ("runtime", "released"):
        (words,) = told[step]
        assert words[1] == "runtime-arm"
        assert words[-2:] == ["-", ""]


def test_a_provider_that_is_missing_is_told_and_never_replaced(
    told: dict[str, list[list[str]]],
) -> None:
    assert [words[0] for words in told["other"]] == ["XNNPACK", "NNAPI", "QNN"]
    for words in told["other"]:
        assert words[1] == "-"
        assert words[-2] == "ProviderNotAvailableException"


def test_a_style_that_is_not_packaged_is_a_problem_in_words(
    told: dict[str, list[list[str]]],
) -> None:
    assert told["unpackaged"][0][-2] == "IllegalArgumentException"
    assert "closed" in told
