#!/bin/sh
# Bring up a Docker engine, or stop the one that this script brought up:
#
#   engine.sh start    leaves an engine that answers alone; else installs and starts one where it may
#   engine.sh stop     stops what `start` started, and nothing else
#
# It may on Debian and Ubuntu, as root. Elsewhere it says what to install and exits 78 (a matter of configuration).
set -eu
cd "$(dirname "$0")/../.."

socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
log=$PWD/.claimsight/dockerd.log
pid=$PWD/.claimsight/dockerd.pid
patience=60 # seconds for the engine to answer; it takes two or three

refuse() {
    echo "engine: $1" >&2
    exit 78
}

answers() { timeout 10 docker info >/dev/null 2>&1; }
builds() { docker buildx version >/dev/null 2>&1; }
offered() { apt-cache show "$1" >/dev/null 2>&1; }

# A process has the number that the file names, and it is an engine: after a crash the number may be another's.
ours() { [ -f "$pid" ] && [ "$(cat "/proc/$(cat "$pid")/comm" 2>/dev/null)" = dockerd ]; }

# What apt-get has to install, one a line.
missing() {
    command -v dockerd >/dev/null || echo docker.io
    # Debian's later releases have the client apart; a client that is there already is left alone.
    { command -v docker >/dev/null || ! offered docker-cli; } || echo docker-cli
    { builds || ! offered docker-buildx; } || echo docker-buildx
}

# Debian bookworm has no buildx, its next suite has, and that one runs here. Only this one file is taken from there: the
# suite is named in lists of its own, which are gone afterwards, so that nothing else ever comes from it.
install_buildx_from_next_suite() {
    aside=$(mktemp -d)
    trap 'rm -rf "$aside"' EXIT
    chmod 755 "$aside" # apt reads it as a user of its own
    mkdir -p "$aside/lists/partial" "$aside/cache/archives/partial"
    # shellcheck disable=SC2016  # apt fills it in
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' 'Codename: bookworm' |
        head -n 1)
    keys=$(find /usr/share/keyrings -name 'debian-archive-keyring.*g*' | sort | head -n 1)
    echo "deb [signed-by=$keys] $mirror trixie main" >"$aside/next.list"
    apart="-o Dir::Etc::SourceList=$aside/next.list -o Dir::Etc::SourceParts=/dev/null
           -o Dir::State::Lists=$aside/lists -o Dir::Cache=$aside/cache"
    # shellcheck disable=SC2086  # one word an option is what is meant
    (cd "$aside" && apt-get $apart -qq update && apt-get $apart -qq download docker-buildx)
    apt-get install -qq --no-install-recommends "$aside"/docker-buildx_*.deb
}

install() {
    for tool in apt-get apt-cache; do
        command -v $tool >/dev/null ||
            refuse "no Docker engine answers; install one with the buildx plugin, start it, and try again"
    done
    [ "$(id -u)" = 0 ] ||
        refuse "no Docker engine answers; as root: apt-get install docker.io, or start the one there is, and try again"
    apt-get -qq update
    packages=$(missing | xargs)
    next=""
    { builds || offered docker-buildx || ! grep -q 'VERSION_CODENAME=bookworm' /etc/os-release; } || next=yes
    [ -n "$packages$next" ] || return 0
    echo "engine: installing $packages${next:+ and, alone from the next suite of Debian, docker-buildx}"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    [ -z "$packages" ] || apt-get install -qq --no-install-recommends $packages >.claimsight/engine-install.log 2>&1 ||
        refuse "apt-get failed; see .claimsight/engine-install.log"
    [ -z "$next" ] || install_buildx_from_next_suite >>.claimsight/engine-install.log 2>&1 ||
        refuse "docker-buildx could not be installed; see .claimsight/engine-install.log"
    hash -r
}

start() {
    mkdir -p .claimsight
    if answers && builds; then
        echo "engine: one answers already"
        return
    fi
    install
    # Where a service manager starts what is installed, it has done so by now.
    if answers; then
        echo "engine: ready"
        return
    fi
    case $socket in unix://*) ;; *) refuse "DOCKER_HOST=$socket does not answer" ;; esac
    # The local socket only, since an engine's port would be root for whoever reaches it; and what containers publish
    # is published to this machine only.
    setsid dockerd --host "$socket" --ip 127.0.0.1 --pidfile "$pid" >"$log" 2>&1 </dev/null &
    waited=0
    until answers; do
        waited=$((waited + 1))
        if [ $waited -gt $patience ] || { [ $waited -gt 5 ] && ! ours; }; then
            tail -n 3 "$log" >&2
            refuse "dockerd does not start here; its log is $log"
        fi
        sleep 1
    done
    echo "engine: started; make engine-stop stops it"
}

stop() {
    if ! ours; then
        echo "engine: none of ours runs"
        return
    fi
    number=$(cat "$pid")
    kill "$number"
    while [ -d "/proc/$number" ]; do sleep 0.2; done
    echo "engine: stopped"
}

case ${1:-} in
start | stop) "$1" ;;
*)
    echo "usage: engine.sh start|stop" >&2
    exit 2
    ;;
esac
