#!/bin/sh
# Installs the system packages that the tests use, as root on Debian or Ubuntu; says so elsewhere.
set -eu

packages=""
need() { # command-or-path package...
    if ! command -v "$1" >/dev/null 2>&1 && [ ! -e "$1" ]; then
        shift
        packages="$packages $*"
    fi
}
need qemu-system-arm qemu-system-arm
need qemu-aarch64 qemu-user
need arm-none-eabi-gcc gcc-arm-none-eabi
need avr-gcc gcc-avr avr-libc
need /usr/share/arduino/hardware/arduino/avr arduino-core-avr
need /usr/include/simavr/sim_avr.h libsimavr-dev
need cc gcc libc6-dev
need avrdude avrdude
need bossac bossa-cli
need cmake cmake
need dfu-util dfu-util
need ninja ninja-build
need openocd openocd
need /usr/sbin/ser2net ser2net
need st-flash stlink-tools
need g++ g++
need chromium chromium
need /usr/share/datasets/fashion-mnist dataset-fashion-mnist

if [ -z "$packages" ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing$packages" >&2
    apt-get update -qq
    # shellcheck disable=SC2086 # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null
else
    echo "not installed, and tests that need them are skipped:$packages" >&2
    echo "on Debian or Ubuntu: sudo apt-get install$packages" >&2
fi
