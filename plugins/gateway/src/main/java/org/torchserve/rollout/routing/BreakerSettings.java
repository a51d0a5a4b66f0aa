package org.torchserve.rollout.routing;

/**
 * When a candidate's breaker opens.
 *
 * @param consecutive so many charged failures in a row; 0 = off
 * @param window size of the sliding window, in attempts
 * @param windowFailures so many charged failures within the window; 0 = off
 */
public record BreakerSettings(int consecutive, int window, int windowFailures) {}
