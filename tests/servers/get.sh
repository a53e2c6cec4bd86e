#!/bin/sh
# Unpacks Debian packages of the servers that tests start: tests/servers/get.sh DIRECTORY PACKAGE...
# Nothing is installed and nothing started; it needs no root.
set -eu
directory=$1
shift

if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
  echo "There is no apt-get here to fetch $* with: install them, and set FGCTL_PROMETHEUS, FGCTL_PROMTOOL," >&2
  echo "FGCTL_ALERTMANAGER and FGCTL_AMTOOL to the paths of their programs." >&2
  exit 1
fi

mkdir -p "$directory/packages"
cd "$directory/packages"
rm -f -- *.deb

apt() {
  apt-get -qq -o APT::Sandbox::User=root "$@" >>apt.log 2>&1
}

# The machine's own package lists may be missing or too old, and only root may renew them: then into lists of our own.
if ! apt download "$@"; then
  mkdir -p lists/partial cache/archives/partial
  own_lists() {
    apt -o "Dir::State::lists=$PWD/lists" -o "Dir::Cache=$PWD/cache" "$@"
  }
  if ! { own_lists update && own_lists download "$@"; }; then
    cat apt.log >&2
    echo "$* could not be downloaded for the reason above; mend it and run the command again." >&2
    exit 1
  fi
fi
for package in *.deb; do
  dpkg -x "$package" ..
done
cd ..
rm -rf packages

# Debian's Alertmanager reads its templates at an absolute path, where only root could put them. The unpacked one reads
# them from an open folder, a path of the same length, which bin/alertmanager opens for it.
if [ -f usr/bin/prometheus-alertmanager ]; then
  LC_ALL=C sed -i 's#/usr/share/prometheus/alertmanager#/proc/self/fd/9///////////////////#g' \
    usr/bin/prometheus-alertmanager
  mkdir -p bin
  cat >bin/alertmanager <<'END'
#!/bin/sh
root=$(cd "$(dirname "$0")/.." && pwd)
exec 9<"$root/usr/share/prometheus/alertmanager"
exec "$root/usr/bin/prometheus-alertmanager" "$@"
END
  chmod +x bin/alertmanager
fi
