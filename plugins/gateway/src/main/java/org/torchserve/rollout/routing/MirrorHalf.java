package org.torchserve.rollout.routing;

/**
 * What one version said to a mirrored request.
 *
 * @param latencyS seconds from dispatch to the last byte
 * @param body the first {@link Mirror#MAX_BODY_BYTES} of it
 * @param isTruncated true if the body was longer
 * @param isComplete false if the answer was a stream that broke
 * @param outcome how it ended, as the metrics count it
 * @param isFailover true if stable answered for the candidate that was asked
 */
public record MirrorHalf(
        String version,
        int status,
        double latencyS,
        byte[] body,
        boolean isTruncated,
        boolean isComplete,
        Outcome outcome,
        boolean isFailover) {}
