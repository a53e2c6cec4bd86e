"""The buckets of every histogram. Bins of error probabilities and inputs: rewards.statistics.distribution_shift."""

GENERATION_SECONDS = (0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 120)
FIRST_TOKEN_SECONDS = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 3, 5, 10, 30)
QUEUE_SECONDS = (0.001, 0.01, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)
SCORING_LAG_SECONDS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)
BEST_OF_GAIN = (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3)
REWARD = tuple(i / 5 for i in range(-5, 6))
WORDS = (5, 10, 20, 30, 40, 50, 60, 80, 100, 120, 150, 200, 300, 500)
REPETITION = (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)
COPIED = tuple(i / 10 for i in range(10))
