package org.torchserve.rollout.routing;

/**
 * An error instead of an answer, in TorchServe's words.
 *
 * @param status HTTP status
 * @param type the simple name of an exception, e.g. {@code ServiceUnavailableException}
 */
public record Problem(int status, String type, String message) {}
