"""`fgctl experiment front`: how good are the trade-offs that weights reach, and do they reach what they ask for?

methods.py   ways to a policy for any weights: trained for each, or merged from a few
measures.py  hypervolume, sparsity and controllability of a front
front.py     train, merge and evaluate every point of every method
results.py   what the points amount to: figures with intervals, and paired differences
plot.py      the fronts as an SVG plot
"""
