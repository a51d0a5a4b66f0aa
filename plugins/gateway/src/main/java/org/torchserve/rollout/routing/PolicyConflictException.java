package org.torchserve.rollout.routing;

/** A policy was refused because of its epoch. */
public final class PolicyConflictException extends Exception {
    private static final long serialVersionUID = 1L;

    private final String type;

    PolicyConflictException(String type, String message) {
        super(message);
        this.type = type;
    }

    /** {@code StaleEpochException} or {@code ReusedEpochException}, for the answer's {@code type}. */
    public String type() {
        return type;
    }
}
