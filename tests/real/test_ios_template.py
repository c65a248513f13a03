"""The iOS template, as far as it can be proven without Xcode and CocoaPods.

The projects are read by parsers that others wrote; none of them is the code that wrote them.
"""

from __future__ import annotations

import json
import plistlib
import re
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import openstep_plist
import pytest
from pbxproj import XcodeProject

from ios import swift
from ortlab.process import Command, SystemProcesses
from ortlab.scaffold.xcconfig import read_xcconfig

TEMPLATE = swift.TEMPLATE
PROJECTS = ("Starter", "StarterPackages")
TARGETS = {"App": "ModelSDK", "Bench": "BenchCore"}
PODSPECS = sorted(path.stem for path in TEMPLATE.glob("*.podspec"))
ID = re.compile(r"[0-9A-F]{24}")
PHASES = {".swift": "Sources", ".xcassets": "Resources", ".xcprivacy": "Resources"}
MODULES = ("Ort", "BenchCore", "ModelSDK")


def project_path(name: str) -> Path:
    return TEMPLATE / f"{name}.xcodeproj" / "project.pbxproj"


def parsed(name: str) -> dict[str, Any]:
    text = project_path(name).read_text(encoding="utf-8")
    found: dict[str, Any] = openstep_plist.loads(text, use_numbers=False)
    return found


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inside in value.items():
            yield from strings(key)
            yield from strings(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from strings(inside)
    else:
        yield str(value)


class Project:
    """A project's objects, with the paths that its groups give to files."""

    def __init__(self, name: str) -> None:
        whole = parsed(name)
        self.objects: dict[str, dict[str, Any]] = whole["objects"]
        self.root = self.objects[whole["rootObject"]]
        self.paths = dict(self._paths(self.root["mainGroup"], PurePosixPath()))

    def _paths(self, key: str, parent: PurePosixPath) -> Iterator[tuple[str, PurePosixPath]]:
        for child in self.objects[key]["children"]:
            fields = self.objects[child]
            if fields["sourceTree"] == "BUILT_PRODUCTS_DIR":
                continue
            path = parent / fields.get("path", "")
            if fields["isa"] == "PBXGroup":
                yield from self._paths(child, path)
            else:
                yield child, path

    def all(self, isa: str) -> list[dict[str, Any]]:
        return [fields for fields in self.objects.values() if fields["isa"] == isa]

    def target(self, name: str) -> dict[str, Any]:
        (found,) = (t for t in self.all("PBXNativeTarget") if t["name"] == name)
        return found

    def built(self, target: str) -> dict[str, list[str]]:
        """Return the paths in each build phase of a target."""
        phases = {}
        for key in self.target(target)["buildPhases"]:
            phase = self.objects[key]
            name = phase["isa"].removeprefix("PBX").removesuffix("BuildPhase")
            files = (self.objects[file] for file in phase["files"])
            phases[name] = [str(self.paths[f["fileRef"]]) for f in files if "fileRef" in f]
        return phases

    def settings(self, owner: dict[str, Any]) -> dict[str, dict[str, Any]]:
        configurations = self.objects[owner["buildConfigurationList"]]["buildConfigurations"]
        return {self.objects[c]["name"]: self.objects[c] for c in configurations}


@pytest.fixture(params=PROJECTS)
def project(request: pytest.FixtureRequest) -> Project:
    return Project(request.param)


# ------------------------------------------------------------------------------ the projects


@pytest.mark.parametrize("name", PROJECTS)
def test_two_parsers_read_the_same_project(name: str) -> None:
    whole = parsed(name)
    assert whole["objectVersion"] == "56"
    other = XcodeProject.load(str(project_path(name)))
    assert other.rootObject == whole["rootObject"]
    theirs = {item.get_id(): item.isa for s in other.objects.get_sections()
              for item in other.objects.get_objects_in_section(s)}  # fmt: skip
    assert theirs == {key: fields["isa"] for key, fields in whole["objects"].items()}


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_that_another_tool_saves_means_the_same(name: str, tmp_path: Path) -> None:
    other = XcodeProject.load(str(project_path(name)))
    other.save(str(tmp_path / "saved.pbxproj"))
    saved = openstep_plist.loads((tmp_path / "saved.pbxproj").read_text(), use_numbers=False)
    assert saved == parsed(name)


def test_no_reference_dangles_and_no_object_is_left_over(project: Project) -> None:
    named = {text for fields in project.objects.values() for text in strings(fields)}
    references = {text for text in named if ID.fullmatch(text)}
    assert references <= project.objects.keys()
    (root,) = (key for key, f in project.objects.items() if f["isa"] == "PBXProject")
    assert project.objects.keys() - references == {root}


def test_every_file_of_an_app_is_in_exactly_the_phase_it_belongs_to(project: Project) -> None:
    for target in TARGETS:
        built = project.built(target)
        files = set()
        for path in (TEMPLATE / target).rglob("*"):
            relative = path.relative_to(TEMPLATE)
            bundle = next((p for p in relative.parents if p.suffix == ".xcassets"), None)
            if path.is_file() and path.name != ".DS_Store":
                files.add(bundle or relative)
        wanted: dict[str, list[str]] = {"Sources": [], "Resources": [], "Frameworks": []}
        for path in sorted(files):
            if path.name != "Info.plist":
                wanted[PHASES[path.suffix]].append(str(path))
        assert {name: sorted(paths) for name, paths in built.items()} == wanted
        assert len(wanted["Sources"]) > 1
        assert f"{target}/PrivacyInfo.xcprivacy" in wanted["Resources"]


def test_every_file_that_a_project_shows_is_there_once(project: Project) -> None:
    paths = [str(path) for path in project.paths.values()]
    assert len(paths) == len(set(paths))
    for path in paths:
        assert (TEMPLATE / path).exists(), path
    shown = {path for path in paths if "/" not in path}
    assert shown == {"App.xcconfig", "Podfile", "Package.swift", "README.md"} | {
        f"{name}.podspec" for name in PODSPECS
    }


def test_the_packages_project_links_our_products_and_the_other_one_nothing() -> None:
    with_packages, with_pods = Project("StarterPackages"), Project("Starter")
    for name, product in TARGETS.items():
        target = with_packages.target(name)
        (dependency,) = target["packageProductDependencies"]
        fields = with_packages.objects[dependency]
        assert fields["productName"] == product
        assert with_packages.objects[fields["package"]]["relativePath"] == "."
        linked = [
            with_packages.objects[file].get("productRef")
            for phase in target["buildPhases"]
            for file in with_packages.objects[phase]["files"]
            if "productRef" in with_packages.objects[file]
        ]
        assert linked == [dependency]
        assert "packageProductDependencies" not in with_pods.target(name)
    assert not with_pods.all("XCLocalSwiftPackageReference")


def test_settings_come_from_the_xcconfig_and_leave_the_targets_to_cocoapods(
    project: Project,
) -> None:
    known = read_xcconfig((TEMPLATE / "App.xcconfig").read_bytes())
    has_packages = bool(project.all("XCLocalSwiftPackageReference"))
    for name, fields in project.settings(project.root).items():
        assert project.paths[fields["baseConfigurationReference"]] == PurePosixPath("App.xcconfig")
        settings = fields["buildSettings"]
        assert settings["IPHONEOS_DEPLOYMENT_TARGET"] == "15.1"
        assert settings["ENABLE_USER_SCRIPT_SANDBOXING"] == ("YES" if has_packages else "NO")
        assert not known.keys() & settings.keys(), name
    for target in TARGETS:
        for fields in project.settings(project.target(target)).values():
            assert "baseConfigurationReference" not in fields
            settings = fields["buildSettings"]
            assert not known.keys() & settings.keys()
            suffix = ".bench" if target == "Bench" else ""
            assert settings["PRODUCT_BUNDLE_IDENTIFIER"] == f"$(APP_ID){suffix}"
            assert settings["MARKETING_VERSION"] == "$(APP_VERSION)"
            assert settings["CURRENT_PROJECT_VERSION"] == "$(APP_BUILD)"
            assert settings["INFOPLIST_FILE"] == f"{target}/Info.plist"
    used = {n for f in project.objects.values() for t in strings(f)
            for n in re.findall(r"\$\((APP_\w+)\)", t)}  # fmt: skip
    assert used | {"APP_NAME"} == {key for key in known if key.startswith("APP_")}


@pytest.mark.parametrize("name", PROJECTS)
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_schemes_are_shared_and_name_their_target(name: str, target: str) -> None:
    project = Project(name)
    directory = TEMPLATE / f"{name}.xcodeproj" / "xcshareddata" / "xcschemes"
    assert {path.stem for path in directory.iterdir()} == set(TARGETS)
    scheme = ET.parse(directory / f"{target}.xcscheme").getroot()
    named = list(scheme.iter("BuildableReference"))
    assert len(named) == 3
    for reference in named:
        fields = project.objects[reference.attrib["BlueprintIdentifier"]]
        assert fields["name"] == target == reference.attrib["BlueprintName"]
        product = project.objects[fields["productReference"]]["path"]
        assert product == reference.attrib["BuildableName"] == f"{target}.app"
        assert reference.attrib["ReferencedContainer"] == f"container:{name}.xcodeproj"
    launch = scheme.find("LaunchAction")
    assert launch is not None
    wanted = "Release" if target == "Bench" else "Debug"
    assert launch.attrib["buildConfiguration"] == wanted


def test_what_is_generated_is_current() -> None:
    """When this fails as intended: ``python scripts/renew_ios_template.py``, then read the diff."""
    done = SystemProcesses().run(
        Command(
            arguments=(sys.executable, "scripts/renew_ios_template.py", "--check"),
            deadline_s=120,
            working_directory=swift.CHECKOUT,
        )
    )
    assert done.succeeded, done.stdout + done.stderr


# ------------------------------------------------------------------------------ property lists


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_info_plists_say_what_is_needed_and_ask_for_no_network(target: str) -> None:
    info = plistlib.loads((TEMPLATE / target / "Info.plist").read_bytes())
    assert info["CFBundleIdentifier"] == "$(PRODUCT_BUNDLE_IDENTIFIER)"
    assert info["CFBundleShortVersionString"] == "$(MARKETING_VERSION)"
    assert info["CFBundleVersion"] == "$(CURRENT_PROJECT_VERSION)"
    assert info["CFBundleDisplayName"].startswith("$(APP_NAME)")
    assert info["UIFileSharingEnabled"] is True
    assert info["LSSupportsOpeningDocumentsInPlace"] is True
    assert info["UILaunchScreen"] == {}
    network = ("NSAppTransport", "NSLocalNetwork", "NSBonjour", "UIBackgroundModes")
    assert not [key for key in info if key.startswith(network)]


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_privacy_manifests_tell_of_no_data_and_no_tracking(target: str) -> None:
    privacy = plistlib.loads((TEMPLATE / target / "PrivacyInfo.xcprivacy").read_bytes())
    assert privacy["NSPrivacyTracking"] is False
    assert privacy["NSPrivacyTrackingDomains"] == privacy["NSPrivacyCollectedDataTypes"] == []
    reasons = {
        entry["NSPrivacyAccessedAPIType"].removeprefix("NSPrivacyAccessedAPICategory"): tuple(
            entry["NSPrivacyAccessedAPITypeReasons"]
        )
        for entry in privacy["NSPrivacyAccessedAPITypes"]
    }
    assert reasons == {"FileTimestamp": ("C617.1",), "SystemBootTime": ("35F9.1",)}


def test_no_source_opens_a_connection() -> None:
    forbidden = re.compile(
        r"URLSession|URLRequest|import Network|NWConnection|CFSocket|getaddrinfo"
    )
    sources = [path for path in TEMPLATE.rglob("*.swift") if ".build" not in path.parts]
    assert len(sources) > 30
    for path in sources:
        assert not forbidden.search(path.read_text()), path


def test_the_benchmark_app_keeps_the_screen_on() -> None:
    assert "isIdleTimerDisabled = true" in (TEMPLATE / "Bench" / "Bench.swift").read_text()


# ------------------------------------------------------------------------------ CocoaPods


def podspec(name: str) -> dict[str, str]:
    text = (TEMPLATE / f"{name}.podspec").read_text()
    return dict(re.findall(r"^  spec\.([\w.]+) = (.+)$", text, re.MULTILINE))


def globs(name: str, key: str) -> set[str]:
    """Return the files that a podspec's pattern names."""
    pattern = podspec(name)[key].strip("'")
    found = re.fullmatch(r"(.*)\{(.*)\}", pattern)
    patterns = [found[1] + part for part in found[2].split(",")] if found else [pattern]
    files = (p.relative_to(TEMPLATE).as_posix() for p in (TEMPLATE / "Sources").rglob("*"))
    return {f for f in files for p in patterns if fnmatch(f, p.replace("**/", "*"))}


def test_a_pod_takes_all_sources_of_its_module_and_no_others() -> None:
    for name in ("COrt", *MODULES):
        directory = TEMPLATE / "Sources" / name
        wanted = {
            path.relative_to(TEMPLATE).as_posix()
            for path in directory.rglob("*")
            if path.suffix in (".swift", ".c", ".h")
        }
        assert globs(name, "source_files") == wanted
        assert wanted
    headers = globs("COrt", "public_header_files")
    assert headers == {"Sources/COrt/include/COrt.h"}
    resources = podspec("ModelSDK")["resource_bundles"]
    assert resources == "{ 'ModelSDK' => ['Sources/ModelSDK/Generated/Resources/ortlab'] }"


def test_pods_depend_on_each_other_as_the_packages_targets_do() -> None:
    text = {name: (TEMPLATE / f"{name}.podspec").read_text() for name in PODSPECS}
    depends = {
        name: re.findall(r"^  spec\.dependency '([\w-]+)'$", t, re.MULTILINE)
        for name, t in text.items()
    }
    assert depends == {
        "COrt": ["onnxruntime-c"], "Ort": ["COrt"], "BenchCore": ["Ort"], "ModelSDK": ["Ort"],
        "CustomOps": [], "onnxruntime-c": [],
    }  # fmt: skip
    for name in PODSPECS:
        assert podspec(name)["name"] == f"'{name}'"
        assert podspec(name)["ios.deployment_target"] == "'15.1'"
    for name in MODULES:
        assert "-Wno-error=non-modular-include-in-framework-module" in text[name]
    for name in ("COrt", *MODULES):
        assert "'CLANG_ALLOW_NON_MODULAR_INCLUDES_IN_FRAMEWORK_MODULES' => 'YES'" in text[name]


def test_the_podfile_gives_each_target_its_pod_and_takes_versions_from_the_settings() -> None:
    text = (TEMPLATE / "Podfile").read_text()
    assert "platform :ios, '15.1'" in text
    assert "use_frameworks! :linkage => :static" in text
    for target, pod in TARGETS.items():
        assert re.search(rf"target '{target}' do\s+own_pod '{pod}'\s+end", text)
    keys = set(re.findall(r"settings\['(\w+)'\]", text))
    assert keys == {"ORT_VERSION", "ORT_PODSPEC", "ORT_XCFRAMEWORK", "CUSTOM_OPS"}
    assert keys < read_xcconfig((TEMPLATE / "App.xcconfig").read_bytes()).keys()


def test_versions_stand_in_the_settings_alone() -> None:
    version = read_xcconfig((TEMPLATE / "App.xcconfig").read_bytes())["ORT_VERSION"]
    for path in (TEMPLATE / "Podfile", TEMPLATE / "Package.swift", *TEMPLATE.glob("*.podspec")):
        assert version not in path.read_text(), path


# ------------------------------------------------------------------------------ Swift


@pytest.mark.requires("swift")
def test_the_package_has_all_targets_and_its_resources() -> None:
    done = swift.run(["swift", "package", "dump-package"], directory=TEMPLATE)
    package = json.loads(done.stdout)
    targets = {target["name"]: target for target in package["targets"]}
    directories = {path.name for path in (TEMPLATE / "Sources").iterdir()}
    tests = {path.name for path in (TEMPLATE / "Tests").iterdir()}
    assert set(targets) == directories | tests
    assert {n for n, t in targets.items() if t["type"] == "test"} == tests
    (resource,) = targets["ModelSDK"]["resources"]
    assert resource["path"] == "Generated/Resources/ortlab"
    assert "copy" in resource["rule"]
    (ios,) = (p for p in package["platforms"] if p["platformName"] == "ios")
    assert ios["version"] == "15.1"
    assert package["toolsVersion"]["_version"] == "5.9.0"
    assert {product["name"] for product in package["products"]} >= {*MODULES, "bench-cli"}


@pytest.mark.requires("swift")
def test_all_sources_are_formatted_and_those_for_apple_alone_parse() -> None:
    directories = [TEMPLATE / name for name in ("App", "Bench", "Sources", "Tests")]
    swift.format_lint([*directories, TEMPLATE / "Package.swift"], directory=TEMPLATE)
    for target in TARGETS:
        swift.parse(sorted((TEMPLATE / target).rglob("*.swift")), directory=TEMPLATE)
