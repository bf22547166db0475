#!/bin/sh
# What a Debian or Ubuntu with Python 3.11 still needs. One place, for Dockerfile, fedn.def, make and .ci/run:
#   workflow/image/install.sh system                    # as root: the two libraries that MediaPipe loads
#   workflow/image/install.sh browser                   # as root: chromium, for the tests of the pages alone
#   workflow/image/install.sh python PYTHON EXTRA [-e]  # this project, what its extra needs by hashes; -e: in place
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
    browser)
        if ! command -v chromium >/dev/null; then
            apt-get update -qq
            apt-get install -y -qq --no-install-recommends chromium
        fi
        ;;
    python)
        python=$1 extra=$2
        shift 2
        more=$([ "$extra" = dev ] || echo "-r requirements-$extra.txt") # requirements.txt is that of dev
        # shellcheck disable=SC2086 # two words, or none
        "$python" -m pip install --quiet --require-hashes -r requirements.txt $more
        "$python" -m pip install --quiet --no-deps --no-build-isolation "$@" .
        ;;
    *)
        echo "$0: \`$what\` is neither system nor browser nor python" >&2
        exit 2
        ;;
esac
