package org.torchserve.rollout.routing;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What the tests have in common: registered versions, and policies written as their query string. */
final class Policies {
    static final long SECOND = 1_000_000_000L;

    private Policies() {}

    /** Versions of the model "m"; the first is the default. */
    static final class Registered implements Versions {
        final Set<String> versions;
        final Set<String> idle = new HashSet<>();
        String defaultVersion;

        Registered(String... versions) {
            this.versions = new HashSet<>(List.of(versions));
            this.defaultVersion = versions.length == 0 ? null : versions[0];
        }

        @Override
        public String defaultVersion(String model) {
            return model.equals("m") ? defaultVersion : null;
        }

        @Override
        public boolean isRegistered(String model, String version) {
            return model.equals("m") && versions.contains(version);
        }

        @Override
        public boolean hasWorkers(String model, String version) {
            return isRegistered(model, version) && !idle.contains(version);
        }
    }

    static Map<String, List<String>> query(String text) {
        Map<String, List<String>> query = new HashMap<>();
        for (String pair : text.split("&")) {
            String[] parts = pair.split("=", 2);
            query.merge(parts[0], List.of(parts[1]), (a, b) -> List.of(a.get(0), b.get(0)));
        }
        return query;
    }

    static TrafficPolicy policy(String text) {
        try {
            return PolicyParser.parse("m", query(text), new Registered("1.0", "2.0", "3.0"));
        } catch (InvalidPolicyException e) {
            throw new AssertionError(e);
        }
    }
}
