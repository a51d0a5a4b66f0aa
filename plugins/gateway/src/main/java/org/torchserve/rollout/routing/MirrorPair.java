package org.torchserve.rollout.routing;

/**
 * The answers of two versions to the same request.
 *
 * @param sequence grows with each pair of a model, over restarts too
 * @param atMillis when the pair was complete, in milliseconds since 1970
 * @param primary what the caller got
 */
public record MirrorPair(long sequence, String requestId, long atMillis, MirrorHalf primary, MirrorHalf shadow) {}
