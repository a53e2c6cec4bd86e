#!/bin/sh
# Unpacks Debian packages of the servers that tests start: tests/servers/get.sh DIRECTORY PACKAGE...
# Nothing is installed and nothing started; it needs no root.
set -eu
directory=$1
shift

if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
  echo "There is no apt-get here to fetch $* with: install them, and set FGCTL_PROMETHEUS, FGCTL_PROMTOOL," >&2
  echo "FGCTL_ALERTMANAGER, FGCTL_AMTOOL, FGCTL_POSTGRES, FGCTL_INITDB, FGCTL_REDIS_SERVER and FGCTL_HAPROXY to the" >&2
  echo "paths of their programs." >&2
  exit 1
fi

mkdir -p "$directory/packages"
cd "$directory/packages"
rm -f -- *.deb

lists=
apt() {
  program=$1
  shift
  # shellcheck disable=SC2086  # two options, or none
  "$program" -qq -o APT::Sandbox::User=root $lists "$@" 2>>apt.log
}

depends() {
  apt apt-cache depends "$1" | sed -n 's/^ *\(Pre\)\{0,1\}Depends: \([a-z0-9][^ <>]*\)$/\2/p'
}

# The server that `postgresql` stands for, the newest, with the libraries that are not installed. LLVM only compiles
# long queries.
missing_libraries() {
  for library in $(depends "$1" | grep '^lib' | grep -v -e '^libllvm' -e 'perl$'); do
    dpkg -s "$library" >/dev/null 2>&1 || echo "$library"
  done
}

resolved() {
  for package; do
    case $package in redis-tools | haproxy)
      for library in $(missing_libraries "$package"); do echo "$library" && missing_libraries "$library"; done ;;
    esac
    [ "$package" = postgresql ] || { echo "$package" && continue; }
    server=$(depends postgresql | grep '^postgresql-[0-9]' | tail -n 1)
    [ -n "$server" ] || return 1
    echo "$server"
    missing_libraries "$server"
  done
}

download() {
  names=$(resolved "$@") || return 1
  # shellcheck disable=SC2086  # names of packages
  apt apt-get download $names >>apt.log
}

# The machine's own package lists may be missing or too old, and only root may renew them: then into lists of our own.
if ! download "$@"; then
  mkdir -p lists/partial cache/archives/partial
  lists="-o Dir::State::lists=$PWD/lists -o Dir::Cache=$PWD/cache"
  if ! { apt apt-get update >>apt.log && download "$@"; }; then
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

# Redis' server is the program that also checks its files; it goes by its name.
[ ! -f usr/bin/redis-check-rdb ] || ln -sf redis-check-rdb usr/bin/redis-server

# These find their libraries here, and PostgreSQL its files beside its programs.
for program in usr/lib/postgresql/*/bin/postgres usr/lib/postgresql/*/bin/initdb usr/bin/redis-server usr/sbin/haproxy; do
  [ -f "$program" ] || continue
  mkdir -p bin
  cat >"bin/${program##*/}" <<END
#!/bin/sh
root=\$(cd "\$(dirname "\$0")/.." && pwd)
for folder in "\$root"/usr/lib/*-linux-gnu* "\$root"/lib/*-linux-gnu*; do
  LD_LIBRARY_PATH=\$folder\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH
exec "\$root/$program" "\$@"
END
  chmod +x "bin/${program##*/}"
done
