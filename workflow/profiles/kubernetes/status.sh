#!/bin/sh
# Says of one job what Snakemake asks: running, success or failed; a job that was deleted has failed.
set -eu
job=$(kubectl get "$1" --ignore-not-found --output='jsonpath={.kind} {.status.conditions[?(@.status=="True")].type}')
case $job in
    *Complete*) echo success ;;
    *Failed*) echo failed ;;
    Job*) echo running ;;
    *) echo failed ;;
esac
