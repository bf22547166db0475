#!/bin/sh
# Deletes jobs and their pods.
exec kubectl delete --wait=false "$@"
