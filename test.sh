#!/usr/bin/env bash
# Everything that can be checked: fetches what the tests need, builds with warnings as errors, checks the format and runs
# every test program. The last line is "N passed, N failed, N skipped".
#
#   ./test.sh                    everything
#   ./test.sh Core.Tests Fuzz    only the test programs with these names
set -euo pipefail
# shellcheck source=eng/sdk.sh
. "$(dirname "${BASH_SOURCE[0]}")/eng/sdk.sh"
cd "$repository"
export CI=true

# Programs of the system that the tests call; mail servers are never installed, only unpacked below .tools/.
commands=(curl openssl python3 gcc ip setpriv ss)
packages=(curl openssl python3 gcc iproute2 util-linux iproute2)
lacking=()
for i in "${!commands[@]}"; do
  command -v "${commands[$i]}" >/dev/null || lacking+=("${packages[$i]}")
done
if [ "${#lacking[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Installing ${lacking[*]} …"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "${lacking[@]}"; } >/dev/null ||
      say "Could not install all of them; the tests that need them are skipped."
  else
    say "Not there: ${lacking[*]}. The tests that need them are skipped; as root on Debian they would be installed."
  fi
fi
if [ -x tests/Quorumail.EndToEnd/peers.sh ]; then
  tests/Quorumail.EndToEnd/peers.sh
fi

passed=0 failed=0 skipped=0 broken=()

say "Building …"
# From scratch: what run.sh built was built without the analyzers. The rules of style are the format's, which is checked below.
if ! dotnet build Quorumail.slnx -c Release --no-incremental -p:EnforceCodeStyleInBuild=false --verbosity quiet; then
  say "The build failed."
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi
say "Checking the format …"
dotnet format Quorumail.slnx --verify-no-changes --no-restore --verbosity quiet >artifacts/format.log 2>&1 &
format=$!

# Runs one test program, shows what it says and adds up its summary.
run() { # name
  local name=$1 program log status=0 line total bad left
  program=artifacts/bin/$name/release/$name
  log=artifacts/$name.log
  echo "== $name"
  "$program" -noColor 2>&1 | tee "$log" | grep -vE '^ *(Discover|Start|Finish)' || status=${PIPESTATUS[0]}
  line=$(grep -E "^ *$name +Total: " "$log" | tail -n 1 || true)
  if [ -z "$line" ]; then
    broken+=("$name ended without a summary (exit code $status)")
    return
  fi
  # What is not run is no test by itself: a program that a test starts.
  total=$(($(sed -E 's/.*Total: ([0-9]+).*/\1/' <<<"$line") - $(sed -E 's/.*Not Run: ([0-9]+).*/\1/' <<<"$line")))
  bad=$(($(sed -E 's/.*Errors: ([0-9]+).*/\1/' <<<"$line") + $(sed -E 's/.*Failed: ([0-9]+).*/\1/' <<<"$line")))
  left=$(sed -E 's/.*Skipped: ([0-9]+).*/\1/' <<<"$line")
  passed=$((passed + total - bad - left))
  failed=$((failed + bad))
  skipped=$((skipped + left))
  if [ "$total" = "$left" ]; then
    broken+=("$name ran no test")
  elif [ "$status" != 0 ] && [ "$bad" = 0 ]; then
    broken+=("$name ended with exit code $status")
  fi
}

# The server as build.sh ships it, for the tests that start it hundreds of times: compiled ahead of time, it needs two thirds of the CPU time.
compile_ahead() {
  local place=$repository/artifacts/tested runtime=linux-x64 output
  [ "$(uname -m)" = x86_64 ] || runtime=linux-arm64
  say "Compiling the server ahead of time …"
  rm -rf "$place"
  if output=$(dotnet publish src/Quorumail.Server -c Release -p:ShippedRuntime=$runtime -p:SelfContained=false -p:PublishReadyToRun=true \
    --output "$place" "${build_options[@]}" 2>&1); then
    export QUORUMAIL_SERVER=$place/smtp-server
  else
    say "$output"
    say "It could not be; it is tested as it was built, and starts more slowly."
  fi
}

wanted() { # name, then the arguments of this script
  local name=$1 argument
  shift
  [ "$#" -gt 0 ] || return 0
  for argument in "$@"; do
    [ "$name" = "$argument" ] || [ "$name" = "Quorumail.$argument" ] && return 0
  done
  return 1
}

# The programs that do the same however long it takes run beside the check of the format; the others have the machine for themselves: they measure
# time-outs, or try as much as they can in a given time.
untimed=(Quorumail.Core.Tests Quorumail.Simulation)
for name in "${untimed[@]}"; do
  if wanted "$name" "$@"; then run "$name"; fi
done
wait "$format" || broken+=("dotnet format")
cat artifacts/format.log
for project in tests/*/*.csproj; do
  name=$(basename "$project" .csproj)
  case " ${untimed[*]} " in *" $name "*) continue ;; esac
  wanted "$name" "$@" || continue
  if [ "$name" = Quorumail.EndToEnd ]; then compile_ahead; fi
  run "$name"
done
[ "$((passed + failed + skipped))" -gt 0 ] || broken+=("no test was run")

for what in "${broken[@]}"; do
  echo "FAILED: $what"
done
failed=$((failed + ${#broken[@]}))
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
