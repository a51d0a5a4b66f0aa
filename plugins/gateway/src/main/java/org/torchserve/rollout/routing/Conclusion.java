package org.torchserve.rollout.routing;

/**
 * How a request ended.
 *
 * @param route that of the last attempt
 * @param outcome that of the last attempt
 * @param status what the caller got; of a stream the status it began with, 0 if the caller left before
 * @param attempts 2 if stable answered for a candidate
 * @param last the answer or its last part; null if there was none
 */
public record Conclusion(
        String requestId, Route route, Outcome outcome, int status, int attempts, long latencyNanos, Answer last) {}
