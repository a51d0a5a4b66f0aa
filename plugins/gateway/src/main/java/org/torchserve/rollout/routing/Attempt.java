package org.torchserve.rollout.routing;

/**
 * One try of one version at one request. Whoever runs it reports to {@link #answered} and {@link #failed}; reports of an
 * attempt that was given up go nowhere, so a late answer never reaches the caller.
 */
public final class Attempt {
    private final Exchange exchange;
    private final Route route;
    private final long beginNanos;
    // All below is guarded by the exchange.
    Dispatcher.Dispatched dispatched;
    Runnable cancelDeadline;
    long deadlineNanos;
    long firstByteNanos;
    long lastByteNanos;
    long endNanos;
    boolean streaming;

    Attempt(Exchange exchange, Route route, long nowNanos) {
        this.exchange = exchange;
        this.route = route;
        this.beginNanos = nowNanos;
        this.lastByteNanos = nowNanos;
    }

    public Route route() {
        return route;
    }

    /** The handler's answer, or the next part of it. */
    public void answered(Answer answer) {
        exchange.answered(this, answer);
    }

    /** TorchServe's error instead of an answer. */
    public void failed(int status, String type, String message) {
        exchange.failed(this, new Problem(status, type, message));
    }

    /** True while somebody waits for this attempt. */
    public boolean isCurrent() {
        return exchange.isCurrent(this);
    }

    /** From dispatch to the last byte, or to the failure. */
    public long latencyNanos() {
        return endNanos - beginNanos;
    }

    /** From dispatch to the first byte; -1 if none came. */
    public long firstByteLatencyNanos() {
        return firstByteNanos == 0 ? -1 : firstByteNanos - beginNanos;
    }

    /** From dispatch until a worker took it; -1 if none did or it is not known. */
    public long queueNanos() {
        return dispatched == null ? -1 : dispatched.queueNanos();
    }
}
