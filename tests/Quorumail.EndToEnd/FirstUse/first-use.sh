#!/usr/bin/env bash
# What a newcomer does, in a network namespace of its own so that the default ports are free: start the server without any
# configuration, send the README's message with curl, find the file. Prints what differs and ends with 1.
#
#   first-use.sh SERVER README DIRECTORY
set -u
server=$1
readme=$2
directory=$3
ip link set lo up || exit 1
cd "$directory" || exit 1
fail() { echo "first use: $*"; tail -n 20 "$directory/server.log"; exit 1; }

"$server" >"$directory/server.log" 2>&1 &
pid=$!
trap 'kill -KILL $pid 2>/dev/null' EXIT
for _ in $(seq 600); do
  curl --silent --fail http://127.0.0.1:8080/readyz >/dev/null && break
  kill -0 "$pid" 2>/dev/null || fail "the server ended"
  sleep 0.1
done
for path in healthz readyz metrics; do
  curl --silent --fail "http://127.0.0.1:8080/$path" >/dev/null || fail "GET /$path failed"
done

command=$(grep -m 1 -E '(^|\| *)curl .*smtp://' "$readme") || fail "README.md shows no curl line"
bash -c "$command" || fail "the README's line failed: $command"
for _ in $(seq 300); do
  [ -n "$(ls data/maildir/postmaster/new 2>/dev/null)" ] && break
  sleep 0.1
done
[ "$(ls data/maildir/postmaster/new 2>/dev/null | wc -l)" = 1 ] || fail "no message in data/maildir/postmaster/new"
[ "$(stat -c %a data/maildir/postmaster)" = 700 ] || fail "the Maildir has mode $(stat -c %a data/maildir/postmaster)"
[ "$(stat -c %a data/maildir/postmaster/new/*)" = 600 ] || fail "the message has mode $(stat -c %a data/maildir/postmaster/new/*)"

refusal=$(printf 'Subject: no\n\nno\n' | curl --silent --show-error --verbose smtp://127.0.0.1:2525 \
  --mail-from me@client.example --mail-rcpt stranger@elsewhere.example --upload-file - 2>&1) &&
  fail "a stranger's recipient was accepted"
echo "$refusal" | grep -q '550 5\.7\.1' || fail "a stranger's recipient got: $refusal"

kill -TERM "$pid"
wait "$pid"
code=$?
[ "$code" = 0 ] || fail "SIGTERM ended it with $code"
for event in queued attempt delivered removed; do
  grep -q " $event qid=" "$directory/server.log" || fail "the log does not say that the message was $event"
done
