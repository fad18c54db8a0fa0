#!/usr/bin/env bash
# Sets a farm up as docs/guides/delegation.md says, in a network of its own and with processes that end with it, and
# asks others what they think of it.
# Usage: unshare -nmpf --kill-child --mount-proc Tests/Interop/judges.sh SMURF DIRECTORY
# Prints what each judge found; exit status 1 when one could not be asked.
set -euo pipefail
smurf=$1
room=$2
here=$(cd "$(dirname "$0")" && pwd)
cd "$room"
ip link set lo up
# The guide's addresses are reserved for documentation, which judges would hold against it.
changes=(192.0.2.=185.49.140. 198.51.100.=145.97.20. 203.0.113.=77.72.225.)
for address in 185.49.140.1 185.49.140.2 185.49.140.100 185.49.140.53 145.97.20.2 77.72.225.2; do
  ip address add "$address/32" dev lo
done
# Judges look whether there is a way out at all.
ip link add out type veth peer name far
ip link set out up
ip link set far up
ip route add default dev out
mkdir -p bin
ln -sf "$smurf" bin/smurf
export PATH="$room/bin:/usr/sbin:$PATH"

# The rest of the world: the root, org, the parent, and names for all addresses.
cat > root.zone <<X
. 86400 IN SOA ns.parent.org. host.parent.org. 1 3600 600 86400 60
. 86400 IN NS ns.parent.org.
ns.parent.org. 86400 IN A 185.49.140.100
X
cat > org.zone <<X
org. 86400 IN SOA ns.parent.org. host.parent.org. 1 3600 600 86400 60
org. 86400 IN NS ns.parent.org.
ns.parent.org. 86400 IN A 185.49.140.100
X
cat > example.org.zone <<X
example.org. 3600 IN SOA ns.parent.org. host.parent.org. 1 14400 3600 604800 300
example.org. 3600 IN NS ns.parent.org.
hostmaster.example.org. 3600 IN A 185.49.140.100
X
cat > arpa.zone <<X
arpa. 86400 IN SOA ns.parent.org. host.parent.org. 1 3600 600 86400 60
arpa. 86400 IN NS ns.parent.org.
1.140.49.185.in-addr.arpa. IN PTR ns1.smurf.example.org.
2.140.49.185.in-addr.arpa. IN PTR ns2.smurf.example.org.
2.20.97.145.in-addr.arpa. IN PTR ns3.smurf.example.org.
2.225.72.77.in-addr.arpa. IN PTR ns4.smurf.example.org.
X
cat > world.conf <<X
server:
  ip-address: 185.49.140.100
  username: ""
  zonesdir: "$room"
  database: ""
  pidfile: "$room/world.pid"
  zonelistfile: "$room/world.list"
  xfrdfile: "$room/world.state"
  xfrdir: "$room"
  server-count: 1
remote-control:
  control-enable: no
X
for zone in . org arpa example.org; do
  file=$zone; [ "$zone" = . ] && file=root
  printf 'zone:\n  name: "%s"\n  zonefile: "%s.zone"\n' "$zone" "$file" >> world.conf
done
printf '. 86400 IN NS ns.parent.org.\nns.parent.org. 86400 IN A 185.49.140.100\n' > hints

nsd -d -c world.conf > world.log 2>&1 &
python3 "$here/follow.py" "$here/../../docs/guides/delegation.md" "${changes[@]}" > guide.sh
# The one thing that the guide leaves to its reader: the parent's servers load their zone anew.
sed -i 's/^cat delegation.txt >> .*/&\nkill -HUP "$(cat world.pid)"/' guide.sh
source guide.sh > guide.log 2>&1

answers() { dig +short +time=2 +tries=1 "@$1" smurf.example.org SOA; }
for server in 185.49.140.2 145.97.20.2 77.72.225.2; do
  for _ in $(seq 60); do [ "$(answers "$server")" = "$(answers 185.49.140.1)" ] && break; sleep 1; done
done
echo "== servers"
for server in 185.49.140.1 185.49.140.2 145.97.20.2 77.72.225.2; do
  echo "$server $(answers "$server") $(dig +short "@$server" web.smurf.example.org | sort | xargs)"
done
echo "== firsts"
for server in 185.49.140.1 185.49.140.2 145.97.20.2 77.72.225.2; do
  echo "$server $(for _ in $(seq 40); do dig +short "@$server" web.smurf.example.org | head -1; done | sort | uniq -c | wc -l)"
done
echo "== resolver"
cat > unbound.conf <<X
server:
  interface: 185.49.140.53
  username: ""
  chroot: ""
  directory: "$room"
  pidfile: ""
  use-syslog: no
  root-hints: "$room/hints"
  module-config: "validator iterator"
  trust-anchor: "$(grep ' DS ' delegation.txt)"
  local-zone: "org." nodefault
  access-control: 0.0.0.0/0 allow
remote-control:
  control-enable: no
X
unbound -d -c unbound.conf > unbound.log 2>&1 &
for _ in $(seq 30); do dig +time=1 +tries=1 @185.49.140.53 org SOA > /dev/null 2>&1 && break; sleep 1; done
for name in web smtp-out nothing; do
  dig @185.49.140.53 +dnssec "$name.smurf.example.org" | sed -n 's/.*status: \([A-Z]*\).*/\1/p; s/^;; flags: \([^;]*\);.*/\1/p' | xargs echo "$name"
done
echo "== zonemaster"
zonemaster-cli smurf.example.org --hints hints --no-ipv6 --level WARNING --no-time --show-testcase 2>&1 | tee zonemaster.txt
echo "== dnsviz"
timeout 60 dnsviz probe -4 -s 185.49.140.53 -a . smurf.example.org web.smurf.example.org \
  nothing.smurf.example.org > probe.json 2> probe.log
dnsviz grok -l warning < probe.json > grok.json 2> grok.log
cat grok.log grok.json
# That it looked at all: signatures of the zone that it found good.
echo "valid signatures: $(dnsviz grok -l info < probe.json | grep -c '"status": "VALID"')"
echo "== end"
