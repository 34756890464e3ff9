#!/usr/bin/env bash
# Installs ffmpeg (with ffprobe) and ExifTool where it can; says the line to type where it cannot.
set -euo pipefail

packages=(ffmpeg libimage-exiftool-perl make)
line="apt-get install --no-install-recommends ${packages[*]}"

if command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null && command -v exiftool >/dev/null; then
  exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
  exit 0
fi
echo "ffmpeg, ffprobe and exiftool are missing. As root, type: $line" >&2
exit 1
