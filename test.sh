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
# From scratch: what run.sh built was built without the analyzers.
if ! dotnet build Quorumail.slnx -c Release --no-incremental --verbosity quiet; then
  say "The build failed."
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi
say "Checking the format …"
dotnet format Quorumail.slnx --verify-no-changes --no-restore --verbosity quiet || broken+=("dotnet format")

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

for project in tests/*/*.csproj; do
  name=$(basename "$project" .csproj)
  if [ "$#" -gt 0 ]; then
    wanted=
    for argument in "$@"; do
      [ "$name" = "$argument" ] || [ "$name" = "Quorumail.$argument" ] && wanted=yes
    done
    [ -n "$wanted" ] || continue
  fi
  run "$name"
done
[ "$((passed + failed + skipped))" -gt 0 ] || broken+=("no test was run")

for what in "${broken[@]}"; do
  echo "FAILED: $what"
done
failed=$((failed + ${#broken[@]}))
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
