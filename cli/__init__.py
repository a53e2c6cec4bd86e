"""The `fgctl` command line. Commands parse arguments, call the other packages and print.

main.py       the program: lists the commands, and turns errors into one sentence and an exit code
output.py     JSON, tables, progress bars and remarks
preload.py    restarts commands that run models, with libraries that make a CPU fast
policies_option.py  the option --policies, which names the policy store
base.py       fgctl base
serve.py      fgctl serve
generate.py   fgctl generate
keys.py       fgctl keys add, list, revoke
quality.py    fgctl quality
preferences.py fgctl preferences simulate
feedback.py   fgctl feedback import, export, stats, annotators, delete-person, prune
arena/        fgctl arena
bench/        fgctl bench
training/     fgctl sft, train, evaluate, sample, experiment
rewards/      fgctl score, rewards
policies/     fgctl policies
"""
