# Sourced by the scripts: finds a .NET 10 SDK, or fetches one into .dotnet/, and puts it on PATH.
# shellcheck shell=bash

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
sdk_channel=10.0
install_script=https://dot.net/v1/dotnet-install.sh

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1

# For building to run: what the analyzers of this or a later SDK think stops nobody from using the server.
# shellcheck disable=SC2034
build_options=(--verbosity quiet -p:RunAnalyzers=false -p:TreatWarningsAsErrors=false -p:WarningLevel=0)

say() { echo "$*" >&2; }

# Whether the given dotnet has an SDK that global.json takes (10.0.100 or later of 10.0).
has_sdk() { "$1" --list-sdks 2>/dev/null | grep -q '^10\.0\.'; }

download() { # address file
  if command -v curl >/dev/null; then
    curl --silent --show-error --fail --location --retry 2 --max-time 120 --output "$2" "$1"
  elif command -v wget >/dev/null; then
    wget --quiet --tries=2 --timeout=60 --output-document="$2" "$1"
  else
    say "neither curl nor wget is there"
    return 1
  fi
}

fetch_sdk() {
  local script
  say "No .NET 10 SDK found: fetching one into $repository/.dotnet (once, about 230 MB)."
  script=$(mktemp)
  if download "$install_script" "$script" &&
    bash "$script" --channel "$sdk_channel" --install-dir "$repository/.dotnet" --no-path >&2; then
    rm -f "$script"
    return 0
  fi
  rm -f "$script"
  say "The SDK could not be fetched from $install_script."
  say "Install the .NET 10 SDK (package dotnet-sdk-10.0, or https://dotnet.microsoft.com/download/dotnet/10.0) and start again."
  return 1
}

if command -v dotnet >/dev/null && has_sdk dotnet; then
  dotnet_home=$(dirname "$(readlink -f "$(command -v dotnet)")")
elif [ -x "$repository/.dotnet/dotnet" ] && has_sdk "$repository/.dotnet/dotnet"; then
  dotnet_home=$repository/.dotnet
else
  fetch_sdk || exit 1
  dotnet_home=$repository/.dotnet
fi
export PATH="$dotnet_home:$PATH"

# The built program looks for its runtime here; a dotnet that is a wrapper script knows better than we do.
if [ -z "${DOTNET_ROOT:-}" ] && [ -d "$dotnet_home/host/fxr" ]; then
  export DOTNET_ROOT=$dotnet_home
fi
