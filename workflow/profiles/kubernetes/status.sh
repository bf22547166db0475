#!/bin/sh
# Says of one job what Snakemake asks: running, success or failed.
set -eu
case $(kubectl get "$1" --output='jsonpath={.status.conditions[?(@.status=="True")].type}') in
    *Complete*) echo success ;;
    *Failed*) echo failed ;;
    *) echo running ;;
esac
