package org.torchserve.rollout.controller;

import java.time.Duration;

/** How long to wait before the next start of a process that keeps dying: 1 s, doubled each time, at most 60 s. */
final class Backoff {
    private static final Duration FIRST = Duration.ofSeconds(1);
    private static final Duration MOST = Duration.ofSeconds(60);

    private Duration next = FIRST;

    /** The wait after a run of this length; a run longer than the longest wait counts as a fresh start. */
    Duration after(Duration run) {
        if (run.compareTo(MOST) > 0) {
            next = FIRST;
        }
        Duration wait = next;
        next = next.multipliedBy(2).compareTo(MOST) < 0 ? next.multipliedBy(2) : MOST;
        return wait;
    }
}
