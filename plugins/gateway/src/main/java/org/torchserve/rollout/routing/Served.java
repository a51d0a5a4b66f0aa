package org.torchserve.rollout.routing;

/** Which version an answer comes from, and whether it stands in for a candidate. */
public record Served(String version, boolean failover) {}
