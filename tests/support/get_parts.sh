#!/bin/sh
# Gets what the tests talk to and Python's packages do not bring: a Kafka broker, a schema registry, PostgreSQL, Prometheus, a browser, strace.
# What cannot be had here is named, and the tests that need it are skipped and listed at the end of the run.
cd "$(dirname "$0")/../.." || exit

packages=""
wanted() { # PROGRAM PACKAGE
  command -v "$1" >/dev/null 2>&1 || packages="$packages $2"
}
wanted strace strace
wanted java default-jre-headless
wanted mvn maven
wanted openssl openssl
wanted prometheus prometheus
wanted chromium chromium
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || wanted initdb postgresql

if [ -n "$packages" ]; then
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing$packages"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -q -y --no-install-recommends $packages; } >var/parts.log 2>&1 ||
      echo "apt-get could not install all of$packages: see var/parts.log"
  else
    echo "for all tests to run, install$packages (as root: apt-get install$packages)"
  fi
fi

[ -n "$(ls var/kafka/libs 2>/dev/null)" ] || ${MAKE:-make} -s broker ||
  echo "no Kafka broker: the tests of topics are skipped (make broker)"
[ -f var/registry/app/quarkus-run.jar ] || ${MAKE:-make} -s registry ||
  echo "no schema registry: some tests of formats are skipped (make registry)"
exit 0
