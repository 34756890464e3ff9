#!/usr/bin/env bash
# Installs what is the system's (ffmpeg with ffprobe, ExifTool; for tests, speech with transcripts)
# where it can, and says the line to type where it cannot.
set -euo pipefail

missing=()
for program in ffmpeg ffprobe exiftool; do
  command -v "$program" >/dev/null || missing+=("$program")
done
packages=(ffmpeg libimage-exiftool-perl)
if [ "${1:-}" = test ]; then
  packages+=(pocketsphinx-testdata)
  [ -d /usr/share/pocketsphinx/test/data/librivox ] || missing+=("test recordings")
fi
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
  exit 0
fi
echo "missing: ${missing[*]}. As root, type: apt-get install --no-install-recommends ${packages[*]}" >&2
# Tests that need the recordings skip and say so; nothing works without the programs.
[ "${missing[*]}" = "test recordings" ]
