"""`fgctl policies`: the registry of stored policies.

commands.py    list, show, promote, rollback, verify
verify_set.py  whether short, medium and long differ enough
diff.py        compare two versions
mix.py         mix policies for given weights
exchange.py    export to, and import from, a directory or the Hugging Face Hub
copy_between_stores.py  push, pull
canary.py      try a version on a share of the callers
options.py     options that several commands take
fields.py      nested objects as table rows
"""
