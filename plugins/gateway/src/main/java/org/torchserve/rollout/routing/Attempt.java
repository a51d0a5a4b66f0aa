package org.torchserve.rollout.routing;

/**
 * One try of one version at one request. Whoever runs it reports to {@link #answered} and {@link #failed}; reports of an
 * attempt that was given up go nowhere, so a late answer never reaches the caller.
 */
public final class Attempt {
    private static final long NEVER_NANOS = Long.MAX_VALUE / 2;

    private final Exchange exchange;
    private final Route route;
    private final long beginNanos;
    // All below is guarded by the exchange.
    Dispatcher.Dispatched dispatched;
    long deadlineNanos;
    long firstByteNanos;
    long endNanos;
    boolean streaming;
    /** When the next byte is overdue. Written under the monitor of the exchange, read without it. */
    private volatile long dueNanos;

    Attempt(Exchange exchange, Route route, long nowNanos) {
        this.exchange = exchange;
        this.route = route;
        this.beginNanos = nowNanos;
        this.dueNanos = nowNanos + NEVER_NANOS;
    }

    /** The next byte is waited for, from {@code nowNanos} until the deadline is over. */
    void waitFrom(long nowNanos) {
        dueNanos = nowNanos + deadlineNanos;
    }

    boolean isOverdue(long nowNanos) {
        return dueNanos - nowNanos <= 0;
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
