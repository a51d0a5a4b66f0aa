package org.torchserve.rollout.routing;

/** What is registered; TorchServe in production. */
public interface Versions {
    /** The default version of a model, or null if there is no such model. */
    String defaultVersion(String model);

    boolean isRegistered(String model, String version);
}
