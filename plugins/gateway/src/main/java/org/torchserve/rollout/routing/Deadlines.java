package org.torchserve.rollout.routing;

/** Runs something later, unless it is cancelled. */
public interface Deadlines {
    /** @return cancels the action */
    Runnable after(long delayNanos, Runnable action);
}
