#!/bin/bash
# The command itself as a small job:  sbatch deploy/slurm-head.sh STUDY.yaml [more words for tomostat run]
# It submits the jobs of deploy/slurm.yaml. SIGTERM before its walltime cancels them; submitted again, it resumes.
#SBATCH --job-name=tomostat
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --time=1-00:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --output=tomostat-%j.log
# source /path/to/.venv/bin/activate

tomostat run "$@" --cluster "${TOMOSTAT_CLUSTER:-deploy/slurm.yaml}" &
run=$!
trap 'kill -TERM $run' TERM INT
wait $run       # ends at a signal
wait $run       # the status of the command itself
