"""What a file is, by its header; which operators need a library."""

from __future__ import annotations

import platform
import struct
import sys
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from ortlab.errors import ModelError, UsageError
from ortlab.prepare.custom_ops import (
    check_custom_op_library,
    custom_domains,
    describe_library,
    require_custom_op_library,
)


def elf(machine: int, kind: int = 3, *, order: str = "<") -> bytes:
    flag = 1 if order == "<" else 2
    return b"\x7fELF" + bytes([2, flag, 1]) + bytes(9) + struct.pack(order + "HH", kind, machine)


@pytest.mark.parametrize(
    ("header", "said", "shared"),
    [
        (elf(183), "a shared object for ARM64 Linux or Android", True),
        (elf(62), "a shared object for x86-64 Linux or Android", True),
        (elf(40), "a shared object for ARM Linux or Android", True),
        (elf(62, kind=1), "an object file for x86-64 Linux or Android", False),
        (elf(62, kind=2), "a program for x86-64 Linux or Android", False),
        (elf(22, order=">"), "a shared object for s390x (big-endian) Linux or Android", True),
        (elf(9999), "a shared object for machine 9999 Linux or Android", True),
        (elf(62)[:12], "a truncated or damaged ELF file", False),
        (b"\xcf\xfa\xed\xfe" + struct.pack("<III", 0x0100000C, 0, 6), "ARM64 macOS", True),
        (b"\xcf\xfa\xed\xfe" + struct.pack("<III", 0x01000007, 3, 2), "no shared library", False),
        (b"MZ\x90\x00", "a Windows library", False),
        (b"PK\x03\x04", "an archive", False),
        (b"!<arch>\n", "a static library", False),
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x37", "a Java class file", False),
        (b"#!/bin/sh\n", "no library of any known kind", False),
        (b"", "empty", False),
    ],
)
def test_a_header_is_described(header: bytes, said: str, shared: bool) -> None:
    facts = describe_library(header)
    assert said in facts.description
    assert facts.shared is shared


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: b"\x7fELF" + tail))
def test_any_bytes_are_described(header: bytes) -> None:
    assert describe_library(header).description


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="states what this machine is"
)
def test_a_library_for_another_machine_is_refused_by_name(tmp_path: Path) -> None:
    library = tmp_path / "libmine.so"
    library.write_bytes(elf(183) + bytes(64))
    with pytest.raises(UsageError, match="it is a shared object for ARM64") as caught:
        check_custom_op_library(library)
    assert "x86-64 Linux" in caught.value.message
    library.write_bytes(elf(62) + bytes(64))
    assert check_custom_op_library(library).machines == ("x86-64",)


def test_an_absent_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        check_custom_op_library(tmp_path / "libmine.so")


def model_using(domain: str, *, local: bool = False, nested: bool = False) -> onnx.ModelProto:
    call = helper.make_node("Mine", ["x"], ["y"], domain=domain)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    nodes = [call]
    if nested:
        branch = helper.make_graph([call], "branch", [], [result])
        condition = helper.make_tensor("c", TensorProto.BOOL, [], [True])
        nodes = [
            helper.make_node("Constant", [], ["c"], value=condition),
            helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch),
        ]
    functions = []
    if local:
        body = [helper.make_node("Relu", ["x"], ["y"])]
        functions = [helper.make_function(domain, "Mine", ["x"], ["y"], body, imports[:1])]
    graph = helper.make_graph(nodes, "g", [value], [result])
    return helper.make_model(graph, opset_imports=imports, functions=functions)


@pytest.mark.parametrize("nested", [False, True])
def test_custom_operators_are_found(nested: bool) -> None:
    assert custom_domains(model_using("my.domain", nested=nested)) == {"my.domain": ("Mine",)}


def test_orts_domains_and_local_functions_need_no_library() -> None:
    assert custom_domains(model_using("com.microsoft")) == {}
    assert custom_domains(model_using("my.domain", local=True)) == {}


def test_a_missing_library_is_asked_for() -> None:
    with pytest.raises(ModelError, match=r"Mine of my\.domain") as caught:
        require_custom_op_library(model_using("my.domain"), "m.onnx", None)
    assert "--custom-op-library" in (caught.value.next_step or "")
    require_custom_op_library(model_using("my.domain"), "m.onnx", Path("lib.so"))
    with pytest.raises(ModelError) as caught:
        require_custom_op_library(model_using("ai.onnx.contrib"), "m.onnx", None)
    assert "onnxruntime-extensions" in (caught.value.next_step or "")
