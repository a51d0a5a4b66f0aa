package org.torchserve.rollout.routing;

/**
 * Where a request goes.
 *
 * @param policy the policy that decided, or null
 * @param deadlineS seconds to the first byte; 0 = the model's own limit
 */
public record Route(String model, String version, Role role, PolicyInForce policy, double deadlineS) {}
