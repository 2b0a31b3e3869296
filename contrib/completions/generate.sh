#!/bin/sh
# Write the completions of the img on PATH beside this file. A test holds them against the program.
set -eu
cd "$(dirname "$0")"
_IMG_COMPLETE=source_bash img > img.bash
_IMG_COMPLETE=source_zsh img > _img
_IMG_COMPLETE=source_fish img > img.fish
