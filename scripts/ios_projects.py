"""The two Xcode projects of `ios_template/`: with CocoaPods, and with a local Swift package.

Both have the same targets, groups and settings; they differ in where the code of `Sources` comes
from. `App.xcconfig` is the base of the *project's* configurations: those of the targets are left to
the files that CocoaPods makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from xcode_project import Objects, Ref, Value

PODS, PACKAGES = "Starter", "StarterPackages"
"""Names of the projects."""

TARGETS = {"App": "ModelSDK", "Bench": "BenchCore"}
"""Each with the product of ours that it rests on."""

DEPLOYMENT_TARGET = "15.1"
"""That the pod onnxruntime-c asks for."""

SHOWN = (
    *("App.xcconfig", "Podfile", "Package.swift", "README.md"),
    *("COrt.podspec", "Ort.podspec", "BenchCore.podspec", "ModelSDK.podspec"),
    *("CustomOps.podspec", "onnxruntime-c.podspec"),
)
"""Files beside the projects that they show and that belong to no target."""

_FILE_TYPES = {
    ".swift": "sourcecode.swift",
    ".plist": "text.plist.xml",
    ".xcprivacy": "text.xml",
    ".xcassets": "folder.assetcatalog",
    ".strings": "text.plist.strings",
    ".xcstrings": "text.json.xcstrings",
    ".xcconfig": "text.xcconfig",
    ".md": "net.daringfireball.markdown",
    ".podspec": "text.script.ruby",
    "Podfile": "text.script.ruby",
}
_SOURCES, _RESOURCES, _NO_TARGET = {".swift"}, {".xcassets", ".xcprivacy", ".xcstrings"}, {".plist"}
_WHOLE = {".xcassets"}  # a directory that is one file to Xcode
_MASK = 2147483647


def project_files(template: Path) -> dict[str, str]:
    """Return all files of both projects, by path in the template."""
    files: dict[str, str] = {}
    for name in (PODS, PACKAGES):
        project = _Project(template=template, name=name)
        files[f"{name}.xcodeproj/project.pbxproj"] = project.text()
        for target in TARGETS:
            path = f"{name}.xcodeproj/xcshareddata/xcschemes/{target}.xcscheme"
            files[path] = _scheme(name, target, project.targets[target])
        # Without them Xcode writes them, and thereby into a fresh checkout.
        workspace = f"{name}.xcodeproj/project.xcworkspace"
        files[f"{workspace}/contents.xcworkspacedata"] = _WORKSPACE
        files[f"{workspace}/xcshareddata/IDEWorkspaceChecks.plist"] = _CHECKS
    return files


class _Project:
    def __init__(self, template: Path, name: str) -> None:
        self.template = template
        self.objects = Objects(name)
        self.with_packages = name == PACKAGES
        self.targets: dict[str, Ref] = {}
        self.name = name

    def text(self) -> str:
        add = self.objects.add
        shown = {path: self._file(path) for path in SHOWN}
        products = {target: self._product(target) for target in TARGETS}
        groups = [self._group(Path(target), target) for target in TARGETS]
        package = self._package() if self.with_packages else None
        self.targets = {
            target: self._target(target, groups[at].files, products[target], package)
            for at, target in enumerate(TARGETS)
        }
        product_group = add(
            "PBXGroup", "Products", "Products",
            children=list(products.values()), name="Products", sourceTree="<group>",
        )  # fmt: skip
        children = [*shown.values(), *(group.ref for group in groups), product_group]
        main = add("PBXGroup", "main", "", children=children, sourceTree="<group>")
        configurations = self._configurations(
            f'PBXProject "{self.name}"', _PROJECT, self._own_settings(), shown["App.xcconfig"]
        )
        created = {ref.id: {"CreatedOnToolsVersion": "14.3"} for ref in self.targets.values()}
        packages: dict[str, Value] = {"packageReferences": [package]} if package else {}
        root = add(
            "PBXProject", "project", "Project object",
            attributes={
                "BuildIndependentTargetsInParallel": 1,
                "LastSwiftUpdateCheck": 1600,
                "LastUpgradeCheck": 1600,
                "TargetAttributes": created,
            },
            buildConfigurationList=configurations, compatibilityVersion="Xcode 14.0",
            developmentRegion="en", hasScannedForEncodings=0, knownRegions=["en", "Base"],
            mainGroup=main, **packages, productRefGroup=product_group, projectDirPath="",
            projectRoot="", targets=list(self.targets.values()),
        )  # fmt: skip
        return self.objects.text(root)

    # -------------------------------------------------------------------------- files

    def _file(self, path: str) -> Ref:
        name = Path(path).name
        kind = _FILE_TYPES[Path(path).suffix or name]
        return self.objects.add(
            "PBXFileReference", path, name, lastKnownFileType=kind, path=name, sourceTree="<group>"
        )

    def _product(self, target: str) -> Ref:
        return self.objects.add(
            "PBXFileReference", f"{target}.app", f"{target}.app",
            explicitFileType="wrapper.application", includeInIndex=0, path=f"{target}.app",
            sourceTree="BUILT_PRODUCTS_DIR",
        )  # fmt: skip

    def _group(self, path: Path, target: str) -> _Group:
        children: list[Ref] = []
        files: list[tuple[Path, Ref]] = []
        for entry in sorted((self.template / path).iterdir()):
            inside = path / entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir() and entry.suffix not in _WHOLE:
                group = self._group(inside, target)
                children.append(group.ref)
                files += group.files
            else:
                ref = self._file(inside.as_posix())
                children.append(ref)
                files.append((inside, ref))
        ref = self.objects.add(
            "PBXGroup", path.as_posix(), path.name,
            children=children, path=path.name, sourceTree="<group>",
        )  # fmt: skip
        return _Group(ref=ref, files=files)

    # -------------------------------------------------------------------------- targets

    def _target(
        self, target: str, files: list[tuple[Path, Ref]], product: Ref, package: Ref | None
    ) -> Ref:
        add = self.objects.add
        known = _SOURCES | _RESOURCES | _NO_TARGET
        unknown = [path for path, _ in files if path.suffix not in known]
        assert not unknown, unknown
        dependencies: list[Ref] = []
        linked: list[Ref] = []
        if package:
            name = TARGETS[target]
            dependency = add(
                "XCSwiftPackageProductDependency", target, name, package=package, productName=name
            )
            dependencies.append(dependency)
            comment = f"{name} in Frameworks"
            linked.append(add("PBXBuildFile", f"{target} links", comment, productRef=dependency))
        phases = [
            self._phase("Sources", target, self._built(files, _SOURCES, "Sources")),
            self._phase("Frameworks", target, linked),
            self._phase("Resources", target, self._built(files, _RESOURCES, "Resources")),
        ]
        settings = {
            "INFOPLIST_FILE": f"{target}/Info.plist",
            "PRODUCT_BUNDLE_IDENTIFIER": "$(APP_ID)" + (".bench" if target == "Bench" else ""),
            **_TARGET,
        }
        if (self.template / target / "Assets.xcassets" / "AppIcon.appiconset").is_dir():
            settings["ASSETCATALOG_COMPILER_APPICON_NAME"] = "AppIcon"
        if (self.template / target / "Assets.xcassets" / "AccentColor.colorset").is_dir():
            settings["ASSETCATALOG_COMPILER_GLOBAL_ACCENT_COLOR_NAME"] = "AccentColor"
        configurations = self._configurations(
            f'PBXNativeTarget "{target}"', settings, {"Debug": {}, "Release": {}}, None
        )
        packages: dict[str, Value] = {"packageProductDependencies": dependencies} if package else {}
        return add(
            "PBXNativeTarget", target, target,
            buildConfigurationList=configurations, buildPhases=phases, buildRules=[],
            dependencies=[], name=target, **packages, productName=target, productReference=product,
            productType="com.apple.product-type.application",
        )  # fmt: skip

    def _built(
        self, files: list[tuple[Path, Ref]], suffixes: set[str], phase: str
    ) -> Iterator[Ref]:
        for path, ref in files:
            if path.suffix in suffixes:
                comment = f"{ref.comment} in {phase}"
                yield self.objects.add("PBXBuildFile", path.as_posix(), comment, fileRef=ref)

    def _phase(self, name: str, target: str, files: Iterator[Ref] | list[Ref]) -> Ref:
        return self.objects.add(
            f"PBX{name}BuildPhase", target, name,
            buildActionMask=_MASK, files=list(files), runOnlyForDeploymentPostprocessing=0,
        )  # fmt: skip

    def _package(self) -> Ref:
        comment = 'XCLocalSwiftPackageReference "."'
        return self.objects.add("XCLocalSwiftPackageReference", ".", comment, relativePath=".")

    # -------------------------------------------------------------------------- settings

    def _own_settings(self) -> Mapping[str, Mapping[str, Value]]:
        # The scripts of CocoaPods write outside of what they declare.
        sandboxed = "YES" if self.with_packages else "NO"
        both = {"ENABLE_USER_SCRIPT_SANDBOXING": sandboxed}
        return {name: {**both, **settings} for name, settings in _BY_CONFIGURATION.items()}

    def _configurations(
        self,
        owner: str,
        settings: Mapping[str, Value],
        own: Mapping[str, Mapping[str, Value]],
        base: Ref | None,
    ) -> Ref:
        add = self.objects.add
        based: dict[str, Value] = {"baseConfigurationReference": base} if base else {}
        configurations = [
            add("XCBuildConfiguration", f"{owner} {name}", name, **based,
                buildSettings=dict(sorted({**settings, **more}.items())), name=name)
            for name, more in own.items()
        ]  # fmt: skip
        return add(
            "XCConfigurationList", owner, f"Build configuration list for {owner}",
            buildConfigurations=configurations, defaultConfigurationIsVisible=0,
            defaultConfigurationName="Release",
        )  # fmt: skip


@dataclass(frozen=True)
class _Group:
    ref: Ref
    files: list[tuple[Path, Ref]]


_WARNINGS = (
    *("BLOCK_CAPTURE_AUTORELEASING", "BOOL_CONVERSION", "COMMA", "CONSTANT_CONVERSION"),
    *("DEPRECATED_OBJC_IMPLEMENTATIONS", "EMPTY_BODY", "ENUM_CONVERSION", "INFINITE_RECURSION"),
    *("INT_CONVERSION", "NON_LITERAL_NULL_CONVERSION", "OBJC_IMPLICIT_RETAIN_SELF"),
    *("OBJC_LITERAL_CONVERSION", "QUOTED_INCLUDE_IN_FRAMEWORK_HEADER", "RANGE_LOOP_ANALYSIS"),
    *("STRICT_PROTOTYPES", "SUSPICIOUS_MOVE", "UNREACHABLE_CODE", "_DUPLICATE_METHOD_MATCH"),
)
_PROJECT: Mapping[str, Value] = {
    "ALWAYS_SEARCH_USER_PATHS": "NO",
    "ASSETCATALOG_COMPILER_GENERATE_SWIFT_ASSET_SYMBOL_EXTENSIONS": "YES",
    "CLANG_ENABLE_MODULES": "YES",
    "CLANG_ENABLE_OBJC_ARC": "YES",
    "CLANG_ENABLE_OBJC_WEAK": "YES",
    **{f"CLANG_WARN_{name}": "YES" for name in _WARNINGS},
    "COPY_PHASE_STRIP": "NO",
    "ENABLE_STRICT_OBJC_MSGSEND": "YES",
    "GCC_NO_COMMON_BLOCKS": "YES",
    "GCC_WARN_UNDECLARED_SELECTOR": "YES",
    "GCC_WARN_UNUSED_FUNCTION": "YES",
    "GCC_WARN_UNUSED_VARIABLE": "YES",
    "IPHONEOS_DEPLOYMENT_TARGET": DEPLOYMENT_TARGET,
    "LOCALIZATION_PREFERS_STRING_CATALOGS": "YES",
    "SDKROOT": "iphoneos",
    "SWIFT_VERSION": "5.0",
}
_BY_CONFIGURATION: Mapping[str, Mapping[str, Value]] = {
    "Debug": {
        "DEBUG_INFORMATION_FORMAT": "dwarf",
        "ENABLE_TESTABILITY": "YES",
        "GCC_OPTIMIZATION_LEVEL": 0,
        "GCC_PREPROCESSOR_DEFINITIONS": ["DEBUG=1", "$(inherited)"],
        "ONLY_ACTIVE_ARCH": "YES",
        "SWIFT_ACTIVE_COMPILATION_CONDITIONS": "DEBUG",
        "SWIFT_OPTIMIZATION_LEVEL": "-Onone",
    },
    "Release": {
        "DEBUG_INFORMATION_FORMAT": "dwarf-with-dsym",
        "ENABLE_NS_ASSERTIONS": "NO",
        "SWIFT_COMPILATION_MODE": "wholemodule",
        "VALIDATE_PRODUCT": "YES",
    },
}
_TARGET: Mapping[str, Value] = {
    "CODE_SIGN_STYLE": "Automatic",
    "CURRENT_PROJECT_VERSION": "$(APP_BUILD)",
    "GENERATE_INFOPLIST_FILE": "NO",
    "LD_RUNPATH_SEARCH_PATHS": ["$(inherited)", "@executable_path/Frameworks"],
    "MARKETING_VERSION": "$(APP_VERSION)",
    "PRODUCT_NAME": "$(TARGET_NAME)",
    "SUPPORTED_PLATFORMS": "iphoneos iphonesimulator",
    "SUPPORTS_MACCATALYST": "NO",
    "TARGETED_DEVICE_FAMILY": "1,2",
}
_WORKSPACE = """<?xml version="1.0" encoding="UTF-8"?>
<Workspace
   version = "1.0">
   <FileRef
      location = "self:">
   </FileRef>
</Workspace>
"""
_CHECKS = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>IDEDidComputeMac32BitWarning</key>
	<true/>
</dict>
</plist>
"""


def _scheme(project: str, target: str, ref: Ref) -> str:
    """Return a shared scheme; `Bench` is run as it is measured, optimized and without debugger."""
    launch = "Release" if target == "Bench" else "Debug"
    debugger = (
        'selectedDebuggerIdentifier = ""\n      selectedLauncherIdentifier = '
        '"Xcode.IDEFoundation.Launcher.PosixSpawn"'
        if target == "Bench"
        else 'selectedDebuggerIdentifier = "Xcode.DebuggerFoundation.Debugger.LLDB"\n      '
        'selectedLauncherIdentifier = "Xcode.DebuggerFoundation.Launcher.LLDB"'
    )

    def buildable(indent: int) -> str:
        lines = (
            "<BuildableReference",
            '   BuildableIdentifier = "primary"',
            f'   BlueprintIdentifier = "{ref.id}"',
            f"   BuildableName = {quoteattr(target + '.app')}",
            f"   BlueprintName = {quoteattr(target)}",
            f'   ReferencedContainer = "container:{project}.xcodeproj">',
            "</BuildableReference>",
        )
        return "\n".join(" " * indent + line for line in lines)

    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Scheme
   LastUpgradeVersion = "1600"
   version = "1.7">
   <BuildAction
      parallelizeBuildables = "YES"
      buildImplicitDependencies = "YES">
      <BuildActionEntries>
         <BuildActionEntry
            buildForTesting = "YES"
            buildForRunning = "YES"
            buildForProfiling = "YES"
            buildForArchiving = "YES"
            buildForAnalyzing = "YES">
{buildable(12)}
         </BuildActionEntry>
      </BuildActionEntries>
   </BuildAction>
   <TestAction
      buildConfiguration = "Debug"
      selectedDebuggerIdentifier = "Xcode.DebuggerFoundation.Debugger.LLDB"
      selectedLauncherIdentifier = "Xcode.DebuggerFoundation.Launcher.LLDB"
      shouldUseLaunchSchemeArgsEnv = "YES">
   </TestAction>
   <LaunchAction
      buildConfiguration = "{launch}"
      {debugger}
      launchStyle = "0"
      useCustomWorkingDirectory = "NO"
      ignoresPersistentStateOnLaunch = "NO"
      debugDocumentVersioning = "NO"
      debugServiceExtension = "internal"
      allowLocationSimulation = "NO">
      <BuildableProductRunnable
         runnableDebuggingMode = "0">
{buildable(9)}
      </BuildableProductRunnable>
   </LaunchAction>
   <ProfileAction
      buildConfiguration = "Release"
      shouldUseLaunchSchemeArgsEnv = "YES"
      savedToolIdentifier = ""
      useCustomWorkingDirectory = "NO"
      debugDocumentVersioning = "NO">
      <BuildableProductRunnable
         runnableDebuggingMode = "0">
{buildable(9)}
      </BuildableProductRunnable>
   </ProfileAction>
   <AnalyzeAction
      buildConfiguration = "Debug">
   </AnalyzeAction>
   <ArchiveAction
      buildConfiguration = "Release"
      revealArchiveInOrganizer = "YES">
   </ArchiveAction>
</Scheme>
"""
