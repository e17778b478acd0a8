#!/bin/sh
# Make the Python base image from Debian's (or Ubuntu's) own packages, for where no image registry is within reach:
#
#   make.sh NAME:TAG
#
# The packages come from wherever this machine's own apt takes them, security updates included, so it works behind any
# mirror and no mirror is named here. What the image never needs is left out: apt, dpkg, perl, manuals, translations.
# dpkg's list of what is installed stays, for the SBOM and for scanners.
set -eu
image=$1

refuse() {
    echo "base: $1" >&2
    exit 78
}

command -v apt-get >/dev/null ||
    refuse "no image registry answers, and the offline base can be made on Debian and Ubuntu only; set PYTHON_IMAGE"
[ "$(id -u)" = 0 ] || refuse "the offline base needs root: sudo -E make images"

apt-get -qq update || echo "base: apt-get update failed; going on with the lists there are" >&2
if ! command -v mmdebstrap >/dev/null; then
    echo "base: installing mmdebstrap"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends mmdebstrap >/dev/null 2>&1 ||
        refuse "mmdebstrap could not be installed"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
. /etc/os-release
# Other software's sources, a vendor's say, are left aside.
# shellcheck disable=SC2016  # apt fills these in
apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    grep -E " $VERSION_CODENAME(-(updates|security))? (main|universe)\$" | sort -u >"$work/sources.list" ||
    refuse "apt knows no source of $VERSION_CODENAME; run apt-get update"

echo "base: making $image from $VERSION_CODENAME's packages, about half a minute"
mmdebstrap --quiet --variant=essential --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include=python3-venv,ca-certificates,libstdc++6,tzdata \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$VERSION_CODENAME" "$work/root" "$work/sources.list" 2>"$work/log" || {
    tail -n 5 "$work/log" >&2
    refuse "mmdebstrap failed"
}

cd "$work/root"
rm -rf etc/apt var/lib/apt var/cache/* var/log/* tmp/* usr/share/debconf usr/share/perl5 usr/share/lintian
rm -rf usr/bin/perl* usr/lib/*-linux-gnu/perl-base usr/lib/*-linux-gnu/gconv usr/share/zoneinfo/right
rm -rf usr/bin/dpkg* usr/sbin/dpkg* usr/bin/py3compile usr/bin/py3clean usr/share/python3 usr/share/dpkg
rm -rf usr/lib/python3*/pydoc_data usr/lib/python3*/lib2to3 usr/lib/python3*/idlelib usr/lib/python3*/test
find var/lib/dpkg -mindepth 1 -maxdepth 1 ! -name status -exec rm -rf {} +
# Nobody logs in, and no program of the image may change who it runs as.
find . -xdev -perm /6000 -type f -exec chmod a-s {} +
tar --create --one-file-system --numeric-owner . |
    docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8' --change 'CMD ["python3"]' - "$image" >/dev/null
