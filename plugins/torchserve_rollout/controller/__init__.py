"""Observe, judge, decide, journal, act: the loop that runs rollouts, and the commands every face shares."""
