#!/bin/sh
# What a Debian or Ubuntu with Python 3.11 still needs. One place, for Dockerfile, fedn.def, make and .ci/run:
#   workflow/image/install.sh system                    # as root: the two libraries that MediaPipe loads
#   workflow/image/install.sh python PYTHON EXTRA [-e]  # this project by constraints.txt, with an extra; -e: in place
set -eu
cd "$(dirname "$0")/../.."
what=$1
shift
case $what in
    system)
        if ! { ldconfig -p | grep -q libEGL.so.1 && ldconfig -p | grep -q libGLESv2.so.2; }; then
            apt-get update -qq
            apt-get install -y -qq --no-install-recommends libegl1 libgles2
        fi
        ;;
    python)
        python=$1 extra=$2
        shift 2
        "$python" -m pip install --quiet -c constraints.txt "$@" ".[$extra]"
        ;;
    *)
        echo "$0: \`$what\` is neither system nor python" >&2
        exit 2
        ;;
esac
