"""What a failed `pod install` or `xcodebuild` means: a cause in plain words, and the next step.

The rules look for words that CocoaPods, Xcode's build system, its signing and the Swift package
manager print. They were written from messages that users of these tools reported.
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

_COMPILE_ERROR: Final = (
    r"^(?P<path>/?[^\n:]+\.(?:swift|c|h|m|mm)):(?P<line>\d+):(?:\d+:)? (?:fatal )?error: "
    r"(?P<what>.+)$"
)
_XCODE_ERROR: Final = r"^(?:[^\n]*?: )?error: (?P<what>.+)$"
_SETTINGS: Final = "App.xcconfig"


def explain_xcode_failure(log: str) -> BuildFailure:
    """Return why a build failed, from all that CocoaPods and Xcode printed."""
    return explain_by(_RULES, log, _own_words)


def _compile_errors(found: Match) -> BuildFailure:
    lines = re.finditer(_COMPILE_ERROR, found.string, re.MULTILINE)
    places = list(
        dict.fromkeys(f"{line['path']}:{line['line']}: {line['what'].strip()}" for line in lines)
    )
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    return BuildFailure(
        cause=f"the code does not compile: {places[0]}{more}",
        next_step="mend that line; what ortlab generated itself is written anew by ortlab generate",
    )


def _undefined_symbols(found: Match) -> BuildFailure:
    pattern = r'^ +"(?P<symbol>[^"\n]+)", referenced from:$'
    symbols = list(dict.fromkeys(re.findall(pattern, found.string, re.MULTILINE)))
    named = ", ".join(symbols[:3]) + (f" and {len(symbols) - 3} more" if len(symbols) > 3 else "")
    return BuildFailure(
        cause=f"the program lacks {named or 'functions'}: no library that it links has them",
        next_step="check that the ONNX Runtime package has what the app uses (a reduced one may"
        f" lack providers), or the library of CUSTOM_OPS in {_SETTINGS}",
    )


_RULES: Final = (
    rule(
        r"No space left on device|There isn['’]t enough space|ENOSPC",
        "the disk is full",
        "free some space (~/Library/Developer/Xcode/DerivedData is large), then build again",
    ),
    # Xcode itself
    rule(
        r"You have not agreed to the Xcode license|Agreeing to the Xcode(?:/iOS)? license requires",
        "Xcode's licence was not accepted",
        "sudo xcodebuild -license accept",
    ),
    rule(
        r"xcode-select: error: tool 'xcodebuild' requires Xcode, but active developer directory"
        r" '(?P<path>[^']+)'|xcode-select: error: (?:no developer tools|unable to get active)",
        "the developer tools that are selected hold no Xcode {path}",
        "install Xcode, then: sudo xcode-select --switch /Applications/Xcode.app",
    ),
    rule(
        r"A required plugin failed to load|runFirstLaunch",
        "Xcode was not set up after it was installed",
        "sudo xcodebuild -runFirstLaunch",
    ),
    rule(
        r"is using Swift tools version (?P<needed>[\d.]+) but the installed version is"
        r" (?P<there>[\d.]+)",
        "this Xcode is too old: its Swift is {there}, and the package asks for {needed}",
        "install Xcode 15 or later, then: sudo xcode-select --switch /Applications/Xcode.app",
    ),
    rule(
        r"future Xcode project file format(?: \((?P<format>\d+)\))?",
        "this Xcode is too old for the project's format {format}",
        "install Xcode 15 or later, then: sudo xcode-select --switch /Applications/Xcode.app",
    ),
    rule(
        r"(?P<platform>iOS [\d.]+) (?:is not installed|Platform Not Installed)",
        "Xcode lacks the platform {platform}",
        "xcodebuild -downloadPlatform iOS",
    ),
    # a phone that a destination names
    rule(
        r"Development cannot be enabled while your device is locked|The device is locked\."
        r"|device is passcode protected|error:Unlock [^\n}]* to [Cc]ontinue"
        r"|because the device was not, or could not be, unlocked",
        "the iPhone is locked",
        "unlock it and keep it unlocked, then build again",
    ),
    rule(
        r"Could not locate device support files|may not be supported by this version of Xcode",
        "this Xcode is too old for the iPhone's iOS",
        "install the newest Xcode",
    ),
    # signing
    rule(
        r"Signing for \"(?P<target>[^\"]+)\" requires a development team",
        "no team is named that signs {target}",
        f"set DEVELOPMENT_TEAM in {_SETTINGS}, or: ortlab generate PREPARED --ios DIR --team ID"
        " (the ten characters of your team at developer.apple.com/account)",
    ),
    rule(
        r"No Account(?:s:| for Team)(?: \"(?P<team>[^\"]+)\")?",
        "Xcode knows no account of the team {team}",
        "add your Apple ID in Xcode, Settings, Accounts",
    ),
    rule(
        r"Your team has no devices from which to generate a provisioning profile",
        "the team has no device yet that a profile could be made for",
        "connect the iPhone and open Xcode, Window, Devices and Simulators, once",
    ),
    rule(
        r"app identifier \"(?P<id>[^\"]+)\" cannot be registered to your development team",
        "the id {id} belongs to somebody else",
        f"choose another APP_ID in {_SETTINGS}, or: ortlab generate … --id com.yours.reader",
    ),
    rule(
        r"No signing certificate \"(?P<kind>[^\"]+)\" found",
        "there is no certificate {kind} with its private key in the keychain",
        "Xcode, Settings, Accounts, your team, Manage Certificates, + Apple Development",
    ),
    rule(
        r"[Pp]rovisioning profile \"(?P<name>[^\"]+)\" (?P<why>doesn't include[^\n.]*)",
        "the provisioning profile {name} does not fit: it {why}",
        "leave signing automatic and build with the iPhone connected, or add the device to the"
        " profile at developer.apple.com/account",
    ),
    rule(
        r"[Pp]rovisioning profile \"(?P<name>[^\"]+)\" (?:has expired|is expired)",
        "the provisioning profile {name} has expired",
        "leave signing automatic, or renew the profile at developer.apple.com/account",
    ),
    rule(
        r"No profiles for '(?P<id>[^']+)' were found|\"(?P<target>[^\"]+)\" requires a provisioning"
        r" profile",
        "there is no provisioning profile for {id}{target}",
        "connect the iPhone to this Mac once and build again; Xcode, Settings, Accounts must hold"
        f" an account of the team that {_SETTINGS} names",
    ),
    rule(
        r"errSecInternalComponent|User interaction is not allowed",
        "the keychain with the signing key is locked, as it is for who came by ssh",
        "security unlock-keychain ~/Library/Keychains/login.keychain-db, then build again",
    ),
    rule(
        r"Communication with Apple failed|Unable to log in with account '(?P<account>[^']*)'",
        "Apple's servers refuse the account {account}",
        "sign in again in Xcode, Settings, Accounts; an agreement may be waiting at"
        " developer.apple.com/account",
    ),
    # CocoaPods
    rule(
        r"CocoaPods requires your terminal to be using UTF-8 encoding",
        "CocoaPods wants a locale of UTF-8",
        "export LANG=en_US.UTF-8, then build again",
    ),
    rule(
        r"\[!\] Invalid `(?P<file>Podfile|\S+\.podspec)` file: (?P<why>[^\n]+)",
        "{file} cannot be read: {why}",
        "mend it, or take the one that ortlab generate writes into a new directory",
    ),
    rule(
        r"could not find compatible versions for pod \"(?P<pod>[^\"]+)\"[\s\S]{0,2000}?"
        r"required a higher minimum deployment target",
        "the pod {pod} asks for a newer iOS than the project is made for",
        "choose an older ONNX Runtime, or raise `platform :ios` in the Podfile and the deployment"
        " target of the project",
    ),
    rule(
        r"None of your spec sources contain a spec satisfying the dependenc(?:y|ies):"
        r" `(?P<pod>[^`]+)`",
        "CocoaPods knows no {pod}",
        "pod repo update; if it is not published as a pod: ortlab generate … --ort-ios with the"
        " path of a podspec or an XCFramework",
    ),
    rule(
        r"Unable to find a specification for `(?P<pod>[^`]+)`"
        r"|No podspec found for `(?P<local>[^`]+)`",
        "CocoaPods finds no pod {pod}{local}",
        "pod repo update; for one of ours, generate the project again",
    ),
    rule(
        r"Verification checksum was incorrect, expected (?P<expected>\w+), got (?P<got>\w+)",
        "an archive that CocoaPods fetched is not the one that its podspec names: {got}, not"
        " {expected}",
        "pod cache clean --all, then build again; if it fails again, ask who answers for the"
        " network",
    ),
    rule(
        r"CDN: \S+ (?:URL couldn't be downloaded|Repo update failed)",
        "CocoaPods cannot fetch its list of pods",
        "check the network and the proxy (https_proxy), then build again",
    ),
    rule(
        r"\[!\] (?:Error installing|Failed to download) (?P<pod>[^\n]+)",
        "CocoaPods cannot fetch {pod}",
        "check the network and the proxy (https_proxy), then build again",
    ),
    rule(
        r"The sandbox is not in sync with the Podfile\.lock",
        "what CocoaPods installed is not what the Podfile asks for",
        "pod install",
    ),
    # Swift packages
    rule(
        r"checksum of downloaded artifact of binary target '(?P<target>[^']+)'"
        r" \((?P<got>\w+)\) does not match checksum specified by the manifest"
        r" \((?P<expected>\w+)\)",
        "the archive of {target} is not the one that ORT_CHECKSUM names: its checksum is {got}",
        f"if you trust it, set ORT_CHECKSUM in {_SETTINGS} to that, or: ortlab generate …"
        " --ort-ios-checksum {got}",
    ),
    rule(
        r"failed downloading '(?P<url>[^']+)' which is required by binary target '[^']+':"
        r" badResponseStatusCode\((?P<code>\d+)\)",
        "there is no {url} (HTTP {code})",
        f"check ORT_VERSION in {_SETTINGS}, or name an XCFramework: ortlab generate … --ort-ios"
        " PATH.xcframework",
    ),
    rule(
        r"failed downloading '(?P<url>[^']+)'[^\n]*downloadError\(\"(?P<why>[^\"]+)\"",
        "{url} cannot be fetched: {why}",
        "check the network and the proxy, then build again",
    ),
    rule(
        r"(?:no library for this platform was found in|does not contain a matching library[^']*)"
        r" '(?P<path>[^']+)'",
        "{path} holds no library for iPhones",
        "name an XCFramework with a slice ios-arm64: ortlab generate … --ort-ios or --custom-ops",
    ),
    # the code
    rule(
        r"^(?P<path>/?[^\n:]+):(?P<line>\d+):\d+: error: (?:no such module|[Uu]nable to find module"
        r" dependency:?) '(?P<module>[^']+)'"
        r"|'(?P<header>onnxruntime/[^']+)' file not found",
        "the module {module}{header} is missing: its pod or package is not installed",
        "pod install, and open Starter.xcworkspace; without CocoaPods, StarterPackages.xcodeproj",
    ),
    Rule(pattern=re.compile(_COMPILE_ERROR, re.MULTILINE), explain=_compile_errors),
    Rule(pattern=re.compile(r"Undefined symbols? for architecture"), explain=_undefined_symbols),
    rule(
        r"ld: (?:warning: )?(?:framework|library) '?(?P<what>[\w.+-]+)'? not found"
        r"|ld: (?:framework|library) not found for? -?(?P<old>[\w.+-]+)",
        "the linker finds no {what}{old}",
        "pod install, and open Starter.xcworkspace; without CocoaPods, StarterPackages.xcodeproj",
    ),
    rule(
        r"Sandbox: \S+ deny\(1\) file-(?:read|write)\S* (?P<path>[^\n]+)",
        "a script of the build may not touch {path}",
        "set ENABLE_USER_SCRIPT_SANDBOXING to NO, as in the project that ortlab generates",
    ),
    # the project
    rule(
        r"does not contain a scheme named \"(?P<scheme>[^\"]+)\"",
        "the project has no scheme {scheme}",
        "check --module: app or bench; a project of your own needs shared schemes App and Bench",
    ),
    rule(
        r"Unable to find a destination matching|Unsupported device specifier option",
        "Xcode has no place to build for that was asked for",
        "xcodebuild -downloadPlatform iOS, and open Xcode once",
    ),
)


def _own_words(text: str) -> str:
    """Return the first error that is told, else the last line."""
    for line in text.splitlines():
        if line.startswith("[!] ") or re.match(_XCODE_ERROR, line):
            found = re.match(_XCODE_ERROR, line)
            said = found["what"] if found else line.removeprefix("[!] ")
            if said.strip(" ."):
                return said.strip().rstrip(".")
    return last_line(text)
