@echo off
setlocal
set "GRADLEW_SELF=%~f0"
set "GRADLEW_PROJECT=%~dp0"
set "GRADLEW_HOME_FILE=%TEMP%\gradlew-%RANDOM%-%RANDOM%.txt"

set "GRADLEW_JAVA=java.exe"
if defined JAVA_HOME set "GRADLEW_JAVA=%JAVA_HOME%\bin\java.exe"
if defined JAVA_HOME if not exist "%GRADLEW_JAVA%" goto bad_java_home
"%GRADLEW_JAVA%" -version >nul 2>&1
if errorlevel 1 goto no_java

powershell.exe -NoLogo -NoProfile -NonInteractive -Command "$text = [IO.File]::ReadAllText($env:GRADLEW_SELF); & ([scriptblock]::Create($text.Substring($text.IndexOf('#begin' + '-powershell'))))"
if errorlevel 1 exit /b 1

set "GRADLEW_GRADLE="
for /f "usebackq delims=" %%i in ("%GRADLEW_HOME_FILE%") do set "GRADLEW_GRADLE=%%i\bin\gradle.bat"
del /q "%GRADLEW_HOME_FILE%"
call "%GRADLEW_GRADLE%" "-Dorg.gradle.appname=gradlew" %*
exit /b %ERRORLEVEL%

:bad_java_home
echo gradlew: JAVA_HOME is set to an invalid directory: "%JAVA_HOME%" 1>&2
echo gradlew: set JAVA_HOME to a JDK 17 or later, or unset it 1>&2
exit /b 1

:no_java
echo gradlew: no java was found that starts: "%GRADLEW_JAVA%" 1>&2
echo gradlew: install a JDK 17 or later and set JAVA_HOME to it 1>&2
exit /b 1

#begin-powershell
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

function Stop-With([string[]] $lines) {
    foreach ($line in $lines) { [Console]::Error.WriteLine("gradlew: $line") }
    exit 1
}

function Find-Installed {
    if (-not [IO.File]::Exists($marker)) { return $null }
    foreach ($candidate in [IO.Directory]::GetDirectories($installed)) {
        if ([IO.File]::Exists([IO.Path]::Combine($candidate, 'bin\gradle.bat'))) { return $candidate }
    }
    return $null
}

$java = ((cmd.exe /d /c '"%GRADLEW_JAVA%" -version 2>&1') -join "`n")
if ($java -match ' version "(?:1\.)?(\d+)' -and [int] $Matches[1] -lt 17) {
    Stop-With "Gradle requires Java 17 or later; $env:GRADLEW_JAVA is Java $($Matches[1])", 'set JAVA_HOME to a JDK 17 or later'
}

$propertiesFile = [IO.Path]::Combine($env:GRADLEW_PROJECT, 'gradle\wrapper\gradle-wrapper.properties')
if (-not [IO.File]::Exists($propertiesFile)) { Stop-With "cannot read $propertiesFile", 'generate the project again' }
$properties = @{ distributionBase = 'GRADLE_USER_HOME'; distributionPath = 'wrapper/dists' }
foreach ($line in [IO.File]::ReadAllLines($propertiesFile)) {
    $key, $value = $line -split '=', 2
    if ($null -ne $value) { $properties[$key] = $value.Replace('\', '') }
}
$url = [string] $properties.distributionUrl
$expected = ([string] $properties.distributionSha256Sum).ToLowerInvariant()
if ($url -notmatch '^https?://.+\.zip$') { Stop-With "cannot use distributionUrl '$url' of ${propertiesFile}: it is no https address of a .zip" }
if ($expected -notmatch '^[0-9a-f]{64}$') { Stop-With "cannot use distributionSha256Sum '$expected' of ${propertiesFile}: it is no SHA-256" }

if ($properties.distributionBase -eq 'PROJECT') { $root = $env:GRADLEW_PROJECT }
elseif ($env:GRADLE_USER_HOME) { $root = $env:GRADLE_USER_HOME }
else { $root = [IO.Path]::Combine($env:USERPROFILE, '.gradle') }
$root = [IO.Path]::Combine((Get-Location -PSProvider FileSystem).ProviderPath, $root)

$publicUrl = $url -replace '^(https?://)[^/]*@', '$1'
$md5 = [Security.Cryptography.MD5]::Create().ComputeHash([Text.Encoding]::UTF8.GetBytes($publicUrl))
Add-Type -AssemblyName System.Numerics
[Array]::Reverse($md5)
$number = New-Object System.Numerics.BigInteger -ArgumentList (, [byte[]] ($md5 + [byte] 0))
$hash = ''
do {
    $hash = '0123456789abcdefghijklmnopqrstuvwxyz'[[int] ($number % 36)] + $hash
    $number = [System.Numerics.BigInteger]::Divide($number, 36)
} while ($number -gt 0)

$zip = $url.Substring($url.LastIndexOf('/') + 1)
$versions = [IO.Path]::Combine($root, $properties.distributionPath.Replace('/', '\'), $zip.Substring(0, $zip.Length - 4))
$installed = [IO.Path]::Combine($versions, $hash)
$marker = [IO.Path]::Combine($installed, "$zip.ok")
$found = Find-Installed

if (-not $found) {
    $work = [IO.Path]::Combine($versions, '.fetch-' + [Guid]::NewGuid().ToString('N').Substring(0, 8))
    try {
        [void] [IO.Directory]::CreateDirectory($work)
        $file = [IO.Path]::Combine($work, 'distribution.zip')
        $deadline = if ($env:GRADLEW_DEADLINE_S) { [int] $env:GRADLEW_DEADLINE_S } else { 1800 }
        [Console]::Error.WriteLine("gradlew: Downloading $publicUrl")
        if (-not (Get-Command curl.exe -CommandType Application -ErrorAction SilentlyContinue)) {
            throw "cannot download ${publicUrl}: curl.exe was not found; it comes with Windows 10 and later"
        }
        & curl.exe --silent --show-error --fail --location --connect-timeout 30 --speed-limit 1 --speed-time 60 --max-time $deadline --output $file --url $url
        if ($LASTEXITCODE -ne 0) {
            throw "cannot download ${publicUrl}: curl ended with exit code $LASTEXITCODE; nothing was kept; check the network, HTTPS_PROXY and the room on the disk"
        }
        $stream = [IO.File]::OpenRead($file)
        try { $sum = [Security.Cryptography.SHA256]::Create().ComputeHash($stream) } finally { $stream.Dispose() }
        $actual = -join ($sum | ForEach-Object { $_.ToString('x2') })
        if ($actual -ne $expected) {
            throw "the checksum of $publicUrl does not match; expected $expected (distributionSha256Sum), received $actual; the file was removed"
        }
        Add-Type -AssemblyName System.IO.Compression.FileSystem
        $ready = [IO.Path]::Combine($work, $hash)
        [IO.Compression.ZipFile]::ExtractToDirectory($file, $ready)
        [IO.File]::WriteAllText([IO.Path]::Combine($ready, "$zip.ok"), '')
        try { [IO.Directory]::Move($ready, $installed) }
        catch {
            if (-not (Find-Installed)) {
                [IO.Directory]::Move($installed, [IO.Path]::Combine($work, 'incomplete'))
                [IO.Directory]::Move($ready, $installed)
            }
        }
        $found = Find-Installed
        if (-not $found) { throw "cannot install Gradle in ${installed}: it has no bin\gradle.bat in one directory" }
    }
    catch { Stop-With $_.Exception.Message }
    finally { Remove-Item -LiteralPath $work -Recurse -Force -ErrorAction SilentlyContinue }
}
[IO.File]::WriteAllText($env:GRADLEW_HOME_FILE, $found, [Console]::OutputEncoding)
exit 0
