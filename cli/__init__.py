"""The `fgctl` command line. Commands parse arguments, call the other packages and print.

main.py       the program: lists the commands, and turns errors into one sentence and an exit code
output.py     JSON, tables, progress bars and remarks
base.py       fgctl base
serve.py      fgctl serve
generate.py   fgctl generate
keys.py       fgctl keys add, list, revoke
quality.py    fgctl quality
feedback.py   fgctl feedback import, export, stats, annotators, delete-person, prune
bench/        fgctl bench
training/     fgctl sft, train, evaluate, sample, experiment
rewards/      fgctl score, rewards
policies/     fgctl policies
"""
