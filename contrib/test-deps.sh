#!/bin/sh
# Makes sure that the programs the tests drive are there: installs their Debian packages
# when it may (root, apt-get), otherwise names what is missing and fails.
set -eu

# program (or file) and the Debian package that brings it
needs='
doveadm dovecot-core
/usr/lib/dovecot/imap dovecot-imapd
mbsync isync
mutt mutt
curl curl
python3 python3
/usr/lib/python3/dist-packages/grpc python3-grpcio
/usr/lib/python3/dist-packages/google/protobuf python3-protobuf
protoc protobuf-compiler
grpc_python_plugin protobuf-compiler-grpc
make make
node nodejs
npm npm
openssl openssl
gnutls-cli gnutls-bin
gsasl gsasl
setpriv util-linux
systemd-analyze systemd
script bsdutils
/usr/lib/postgresql postgresql
mariadbd mariadb-server
/usr/sbin/slapd slapd
gcc gcc
/usr/include/stdlib.h libc6-dev
/usr/include/security/pam_appl.h libpam0g-dev
'

missing() {
	echo "$needs" | while read -r what package; do
		[ -n "$what" ] || continue
		case $what in
		/*) [ -e "$what" ] || echo "$package" ;;
		*) command -v "$what" >/dev/null 2>&1 || echo "$package" ;;
		esac
	done | sort -u | tr '\n' ' '
}

m=$(missing)
[ -n "$m" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "installing for the tests: $m"
	export DEBIAN_FRONTEND=noninteractive
	# Tests start servers of their own; those of the packages shall not run.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
		trap 'rm -f $policy' EXIT
	fi
	apt-get update -q && apt-get install -q -y --no-install-recommends $m || true
	m=$(missing)
	[ -n "$m" ] || exit 0
fi
echo "The tests need these Debian packages, which are missing: $m" >&2
echo "Install them:  apt-get install $m" >&2
exit 1
