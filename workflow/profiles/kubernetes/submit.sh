#!/bin/sh
# Submits one job to Kubernetes and prints its name: submit.sh IMAGE CLAIM MOUNT THREADS MEM_MB MINUTES GPUS SCRIPT
set -eu
image=$1 claim=$2 mount=$3 threads=$4 mem_mb=$5 minutes=$6 gpus=$7 script=$8
gpu=$([ "$gpus" = 0 ] || echo ", \"nvidia.com/gpu\": \"$gpus\"")
kubectl create --filename=- --output=name <<JSON
{
  "apiVersion": "batch/v1",
  "kind": "Job",
  "metadata": {"generateName": "fedn-"},
  "spec": {
    "backoffLimit": 0,
    "template": {
      "spec": {
        "activeDeadlineSeconds": $((60 * minutes)),
        "restartPolicy": "Never",
        "containers": [
          {
            "name": "job",
            "image": "$image",
            "command": ["sh", "$script"],
            "workingDir": "$PWD",
            "resources": {
              "requests": {"cpu": "$threads", "memory": "${mem_mb}M"},
              "limits": {"memory": "${mem_mb}M"$gpu}
            },
            "volumeMounts": [{"name": "data", "mountPath": "$mount"}]
          }
        ],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "$claim"}}]
      }
    }
  }
}
JSON
