package org.torchserve.rollout.routing;

/** Where a request carries the key that keeps its sender on one version. */
public record StickyKey(Place place, String name) {
    public enum Place {
        HEADER,
        COOKIE
    }

    @Override
    public String toString() {
        return (place == Place.HEADER ? "header:" : "cookie:") + name;
    }
}
