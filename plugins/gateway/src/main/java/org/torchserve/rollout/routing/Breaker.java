package org.torchserve.rollout.routing;

/** Takes a failing candidate out of the traffic within milliseconds. Opens once and never closes: a higher epoch brings a new one. */
public final class Breaker {
    private final BreakerSettings settings;
    private final boolean[] window;
    private int next;
    private int failuresInWindow;
    private int consecutive;
    private volatile Trip trip;

    /** Why and when (nanoseconds of the caller's clock) the breaker opened. */
    public record Trip(String reason, long atNanos) {}

    public Breaker(BreakerSettings settings) {
        this.settings = settings;
        this.window = new boolean[settings.window()];
    }

    /** The trip, or null while the breaker is closed. */
    public Trip trip() {
        return trip;
    }

    public boolean isOpen() {
        return trip != null;
    }

    /** Notes an attempt; true if it was the one that opened the breaker. Outcomes that say nothing about the version are ignored. */
    public synchronized boolean note(Outcome outcome, long nowNanos) {
        boolean failed = outcome.isCharged();
        if (isOpen() || !failed && outcome != Outcome.OK && outcome != Outcome.CLIENT_ERROR) {
            return false;
        }
        consecutive = failed ? consecutive + 1 : 0;
        failuresInWindow += (failed ? 1 : 0) - (window[next] ? 1 : 0);
        window[next] = failed;
        next = (next + 1) % window.length;
        if (reached(consecutive, settings.consecutive())) {
            trip = new Trip(consecutive + " consecutive failures", nowNanos);
        } else if (reached(failuresInWindow, settings.windowFailures())) {
            String reason = failuresInWindow + " failures in the last " + window.length + " attempts";
            trip = new Trip(reason, nowNanos);
        }
        return isOpen();
    }

    /** Opens it for another reason than failed attempts; true if it was closed. */
    public synchronized boolean trip(String reason, long nowNanos) {
        if (isOpen()) {
            return false;
        }
        trip = new Trip(reason, nowNanos);
        return true;
    }

    private static boolean reached(int count, int limit) {
        return limit > 0 && count >= limit;
    }
}
