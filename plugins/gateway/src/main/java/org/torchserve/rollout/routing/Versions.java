package org.torchserve.rollout.routing;

/** What is registered; TorchServe in production. */
public interface Versions {
    /** The default version of a model, or null if there is no such model. */
    String defaultVersion(String model);

    boolean isRegistered(String model, String version);

    /** Whether a version is registered and has workers, ready or not. */
    boolean hasWorkers(String model, String version);
}
