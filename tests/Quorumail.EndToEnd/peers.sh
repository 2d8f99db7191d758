#!/usr/bin/env bash
# Fetches the foreign mail programs and load balancers that the end-to-end tests and bench/run.sh talk to, without installing a
# server into the host: Debian packages are unpacked under .tools/peers/root and run from there by small wrappers in
# .tools/peers/bin; nodemailer goes to .tools/node. What can't be had leaves its reason in .tools/peers/<name>.missing,
# and the tests that need it skip with that reason. Running it again costs nothing once all is there.
#
#   peers.sh            fetch what is missing, print one line for each peer
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
tools=$repository/.tools
peers=$tools/peers
root=$peers/root
recipe=3 # raise to make every machine fetch again

mkdir -p "$peers/bin" "$root"
exec 9>"$peers/lock"
flock 9

apt_options=(-qq -o APT::Sandbox::User=root -o Acquire::Retries=2)
lists_are_fresh=

refresh_lists() {
  [ -n "$lists_are_fresh" ] && return
  lists_are_fresh=yes
  [ "$(id -u)" = 0 ] && apt-get "${apt_options[@]}" update >/dev/null 2>&1
}

missing() { # name reason
  echo "$2" >"$peers/$1.missing"
}

# Downloads PACKAGE and whatever the host lacks of its dependencies, and unpacks them all under root.
unpack() { # package...
  command -v apt-get >/dev/null || { echo "apt-get is not there"; return 1; }
  local wanted
  wanted=$(closure "$@")
  if [ -z "$wanted" ]; then
    refresh_lists
    wanted=$(closure "$@")
  fi
  # A package that the host has already installed is fetched all the same: its programs may not be on the PATH.
  wanted=$(printf '%s\n' $wanted "$@" | sort -u)
  local cache
  cache=$(mktemp -d "$peers/debs.XXXXXX")
  if ! (cd "$cache" && apt-get "${apt_options[@]}" download $wanted >download.log 2>&1); then
    refresh_lists
    if ! (cd "$cache" && apt-get "${apt_options[@]}" download $wanted >download.log 2>&1); then
      echo "apt-get download $*: $(tail -n 1 "$cache/download.log")"
      rm -rf "$cache"
      return 1
    fi
  fi
  local deb
  for deb in "$cache"/*.deb; do
    dpkg-deb -x "$deb" "$root" || { echo "dpkg-deb -x $(basename "$deb") failed"; rm -rf "$cache"; return 1; }
  done
  rm -rf "$cache"
}

closure() { # package... : names of all packages that an installation would bring
  apt-get -s -o Debug::NoLocking=1 --no-install-recommends install "$@" 2>/dev/null |
    sed -n 's/^Inst \([^ ]*\).*/\1/p'
}

# Writes a wrapper that runs TARGET (relative to root) with the unpacked libraries and Perl modules.
wrap() { # name target
  cat >"$peers/bin/$1" <<WRAPPER
#!/bin/sh
root=\$(cd "\$(dirname "\$0")/../root" && pwd)
for directory in "\$root"/usr/lib/*-linux-gnu*; do libraries="\$directory:\${libraries:-}"; done
export LD_LIBRARY_PATH="\$root/usr/lib/postfix:\${libraries}\$root/usr/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
for directory in "\$root"/usr/lib/*/perl5/* "\$root"/usr/share/perl5; do modules="\$directory:\${modules:-}"; done
export PERL5LIB="\$modules\${PERL5LIB:-}"
exec "\$root/$2" "\$@"
WRAPPER
  chmod +x "$peers/bin/$1"
}

# Fetches one peer unless its stamp says that this was done by the present recipe.
peer() { # name
  if [ "$(cat "$peers/$1.done" 2>/dev/null)" = "$recipe" ]; then
    echo "peers: $1 is there"
    return
  fi
  rm -f "$peers/$1.missing"
  local reason
  if reason=$("fetch_$1" 2>&1); then
    echo "$recipe" >"$peers/$1.done"
    echo "peers: $1 fetched"
  else
    missing "$1" "${reason:-no reason given}"
    echo "peers: $1 is not to be had: $reason"
  fi
}

fetch_postfix() {
  unpack postfix || return 1
  wrap smtp-source usr/sbin/smtp-source
  wrap smtp-sink usr/sbin/smtp-sink
  wrap postfix-master usr/lib/postfix/sbin/master
  wrap postconf usr/sbin/postconf
  wrap postqueue usr/sbin/postqueue
  wrap postsuper usr/sbin/postsuper
  wrap postalias usr/sbin/postalias
  # The wrappers reach these by path, and the first run tells whether a library is missing.
  "$peers/bin/postconf" -d mail_version || return 1
}

fetch_swaks() {
  unpack swaks libnet-ssleay-perl || return 1
  wrap swaks usr/bin/swaks
  "$peers/bin/swaks" --version
}

fetch_msmtp() {
  unpack msmtp || return 1
  wrap msmtp usr/bin/msmtp
  "$peers/bin/msmtp" --version
}

fetch_haproxy() {
  unpack haproxy || return 1
  wrap haproxy usr/sbin/haproxy
  "$peers/bin/haproxy" -v
}

fetch_nginx() {
  unpack nginx libnginx-mod-stream || return 1
  wrap nginx usr/sbin/nginx
  "$peers/bin/nginx" -v
}

host_program() { # program package...
  command -v "$1" >/dev/null && return 0
  [ "$(id -u)" = 0 ] || { echo "$1 is not installed and this user may not install it"; return 1; }
  local program=$1
  shift
  refresh_lists
  DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" --no-install-recommends install -y "$@" >/dev/null 2>&1
  command -v "$program" >/dev/null || { echo "$program could not be installed by apt-get install $*"; return 1; }
}

fetch_curl() { host_program curl curl; }
fetch_python() { host_program python3 python3 && python3 -c 'import smtplib, email'; }
fetch_compiler() { host_program cc gcc libc6-dev; }

fetch_network() { host_program ip iproute2; }

fetch_nodemailer() {
  host_program node nodejs || return 1
  host_program npm npm || return 1
  mkdir -p "$tools/node"
  local log
  log=$(cd "$tools/node" && npm install --no-audit --no-fund --no-save --ignore-scripts --loglevel=error \
    nodemailer@7 2>&1) || { echo "npm install nodemailer: $(echo "$log" | tail -n 1)"; return 1; }
  (cd "$tools/node" && node -e 'require("nodemailer")')
}

for name in postfix swaks msmtp haproxy nginx curl python compiler network nodemailer; do
  peer "$name"
done
