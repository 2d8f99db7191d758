#!/usr/bin/env bash
# Runs one Postfix of its own in the foreground, out of .tools/peers, with everything it keeps under DIRECTORY: kill the
# process (SIGTERM) and all of it ends. Needs root, because Postfix's master does. The host's accounts are not touched:
# an existing account of the host that owns nothing in DIRECTORY but Postfix's own files plays the part of `postfix`.
#
#   postfix.sh DIRECTORY PORT [name=value ...]     further values are lines of main.cf and win over those below
#
# Ready when DIRECTORY/maillog says "daemon started" and the port answers. Durability is Postfix's own: it fsyncs the
# queue file before it replies, and nothing here weakens that.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$here/../../.tools/peers/bin
libexec=$(cd "$here/../../.tools/peers/root/usr/lib/postfix/sbin" && pwd)
directory=$1
port=$2
shift 2

[ "$(id -u)" = 0 ] || { echo "postfix.sh: Postfix's master must be started by root" >&2; exit 1; }
pick() { # database name... : the first name that the host has
  local database=$1 name
  shift
  for name in "$@"; do getent "$database" "$name" >/dev/null && { echo "$name"; return; }; done
  echo "postfix.sh: none of $* is in $database" >&2
  exit 1
}
owner=$(pick passwd postfix daemon mail)
default=$(pick passwd nobody games)
group=$(pick group postdrop tty lp)

queue=$directory/queue
mkdir -p "$directory/conf" "$directory/lib" "$directory/mail" "$queue"
chmod 755 "$directory" "$directory/conf"
for name in active bounce corrupt defer deferred flush hold incoming private saved trace; do
  mkdir -p "$queue/$name"
  chown "$owner" "$queue/$name"
  chmod 700 "$queue/$name"
done
mkdir -p "$queue/maildrop" "$queue/public" "$queue/pid"
chown "$owner:$group" "$queue/maildrop" "$queue/public"
chmod 1730 "$queue/maildrop"
chmod 2710 "$queue/public"
chown "$owner" "$directory/lib" "$directory/mail"

cat >"$directory/conf/main.cf" <<MAIN
compatibility_level = 3.6
queue_directory = $queue
data_directory = $directory/lib
daemon_directory = $libexec
command_directory = $libexec/../../../sbin
shlib_directory = no
meta_directory = $directory/conf
mail_owner = $owner
setgid_group = $group
default_privs = $default
import_environment = MAIL_CONFIG TZ LD_LIBRARY_PATH LANG=C
export_environment = TZ LD_LIBRARY_PATH LANG=C
maillog_file = $directory/maillog
maillog_file_prefixes = $directory
myhostname = postfix.example
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_error_sleep_time = 0
message_size_limit = 104857600
mailbox_size_limit = 0
virtual_mailbox_limit = 0
local_header_rewrite_clients =
virtual_mailbox_base = $directory/mail
virtual_minimum_uid = 1
virtual_uid_maps = static:$(id -u "$owner")
virtual_gid_maps = static:$(id -g "$owner")
biff = no
MAIN
for line in "$@"; do
  # main.cf takes the last of equal names but warns of each; drop the earlier one.
  sed -i "/^${line%%=*} *=/d" "$directory/conf/main.cf"
  echo "$line" >>"$directory/conf/main.cf"
done

cat >"$directory/conf/master.cf" <<MASTER
127.0.0.1:$port inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
MASTER

export MAIL_CONFIG=$directory/conf
# -d keeps master in the foreground; a process group of its own lets its SIGTERM reach every process that it started.
read -r _ _ _ _ own_group _ </proc/$$/stat
[ "$own_group" = $$ ] || exec setsid "$bin/postfix-master" -c "$directory/conf" -d
exec "$bin/postfix-master" -c "$directory/conf" -d
