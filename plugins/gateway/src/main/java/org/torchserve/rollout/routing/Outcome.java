package org.torchserve.rollout.routing;

import java.util.Locale;

/** How one attempt on one version ended; the table in docs/reference/traffic-api.md. */
public enum Outcome {
    OK(false, false),
    CLIENT_ERROR(false, false),
    MODEL_ERROR(true, true),
    TIMEOUT(true, true),
    WORKER_DIED(true, true),
    OUT_OF_MEMORY(true, true),
    NO_CAPACITY(false, true),
    BAD_INPUT(false, false),
    CLIENT_GONE(false, false),
    STREAM_BROKEN(true, false);

    private static final String WORKER_DIED_MESSAGE = "Worker died.";

    private final boolean charged;
    private final boolean replayed;
    private final String label = name().toLowerCase(Locale.ROOT);

    Outcome(boolean charged, boolean replayed) {
        this.charged = charged;
        this.replayed = replayed;
    }

    /** True if the version is to blame. */
    public boolean isCharged() {
        return charged;
    }

    /** True if stable may answer the request instead. */
    public boolean isReplayed() {
        return replayed;
    }

    /** The value of the metrics' label {@code outcome}. */
    public String label() {
        return label;
    }

    /** The outcome of an answer with this HTTP status. */
    public static Outcome ofStatus(int status) {
        if (status < 400) {
            return OK;
        }
        if (status < 500) {
            return CLIENT_ERROR;
        }
        return status == 507 ? OUT_OF_MEMORY : MODEL_ERROR;
    }

    /** The outcome of an error TorchServe reports instead of an answer. */
    public static Outcome ofError(int status, String message) {
        // Before the status: TorchServe says 507 for every worker that was SIGKILLed.
        return WORKER_DIED_MESSAGE.equals(message) ? WORKER_DIED : ofStatus(status);
    }
}
