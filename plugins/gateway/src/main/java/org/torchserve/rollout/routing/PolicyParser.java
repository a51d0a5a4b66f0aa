package org.torchserve.rollout.routing;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** Reads a policy from the query parameters of PUT /traffic/{model}; reports all that is wrong with them at once. */
public final class PolicyParser {
    private static final Set<String> KNOWN =
            Collections.unmodifiableSet(
                    new TreeSet<>(
                            List.of(
                                    "epoch",
                                    "stable",
                                    "weights",
                                    "lease_s",
                                    "failover",
                                    "candidate_deadline_s",
                                    "stable_deadline_s",
                                    "breaker_consecutive",
                                    "breaker_window",
                                    "breaker_window_failures",
                                    "sticky",
                                    "cohort",
                                    "max_requests",
                                    "replay_budget",
                                    "replay_budget_min",
                                    "mirror")));
    private static final double MAX_SECONDS = 86_400;
    private static final int MAX_WINDOW = 100_000;
    private static final double MAX_COUNT = 1e12;
    // Sums of decimals such as 33.3 + 66.7 may miss 100 by a rounding error.
    private static final double ROUNDING = 1e-9;

    private final String model;
    private final Map<String, List<String>> parameters;
    private final Versions versions;
    private final List<String> problems = new ArrayList<>();
    private final List<String> unknown = new ArrayList<>();

    private PolicyParser(String model, Map<String, List<String>> parameters, Versions versions) {
        this.model = model;
        this.parameters = parameters;
        this.versions = versions;
    }

    /** The policy the parameters describe. */
    public static TrafficPolicy parse(String model, Map<String, List<String>> parameters, Versions versions)
            throws InvalidPolicyException {
        return new PolicyParser(model, parameters, versions).parse();
    }

    /** The {@code epoch} parameter alone. */
    public static long parseEpoch(Map<String, List<String>> parameters) throws InvalidPolicyException {
        PolicyParser parser = new PolicyParser("", parameters, null);
        long epoch = parser.epoch();
        parser.throwProblems();
        return epoch;
    }

    private TrafficPolicy parse() throws InvalidPolicyException {
        checkNames();
        if (versions.defaultVersion(model) == null) {
            unknown.add("model " + model + " is not registered");
        }
        String stable = text("stable", null);
        if (stable == null) {
            problems.add("stable is required: the version that answers when nothing else does");
        } else {
            checkRegistered("stable", stable);
        }
        int window = (int) number("breaker_window", 20, 1, MAX_WINDOW, true);
        BreakerSettings breaker =
                new BreakerSettings(
                        (int) number("breaker_consecutive", 5, 0, MAX_WINDOW, true),
                        window,
                        (int) number("breaker_window_failures", 10, 0, MAX_WINDOW, true));
        if (breaker.windowFailures() > window) {
            problems.add("breaker_window_failures is " + breaker.windowFailures()
                    + ", more than breaker_window " + window + ", so it could never open");
        }
        Map<String, Double> weights = percents("weights", stable);
        double sum = weights.values().stream().mapToDouble(Double::doubleValue).sum();
        if (sum > 100 + ROUNDING) {
            problems.add("weights: the sum is " + plain(sum) + ", more than 100");
        }
        TrafficPolicy policy =
                new TrafficPolicy(
                        model,
                        epoch(),
                        stable,
                        weights,
                        failover(),
                        seconds("candidate_deadline_s", 30),
                        seconds("stable_deadline_s", 60),
                        breaker,
                        sticky(),
                        cohort(),
                        (long) number("max_requests", 0, 0, MAX_COUNT, true),
                        number("replay_budget", 20, 0, 100, false),
                        (int) number("replay_budget_min", 20, 0, MAX_WINDOW, true),
                        percents("mirror", stable),
                        seconds("lease_s", 10));
        throwProblems();
        return policy;
    }

    private void throwProblems() throws InvalidPolicyException {
        if (!problems.isEmpty() || !unknown.isEmpty()) {
            List<String> all = new ArrayList<>(problems);
            all.addAll(unknown);
            throw new InvalidPolicyException(all, problems.isEmpty());
        }
    }

    private void checkNames() {
        for (Map.Entry<String, List<String>> each : parameters.entrySet()) {
            if (!KNOWN.contains(each.getKey())) {
                problems.add("unknown parameter " + each.getKey() + " (there are " + String.join(", ", KNOWN) + ")");
            } else if (each.getValue().size() > 1) {
                problems.add(each.getKey() + " is given " + each.getValue().size() + " times");
            }
        }
    }

    private void checkRegistered(String where, String version) {
        if (versions.defaultVersion(model) != null && !versions.isRegistered(model, version)) {
            unknown.add(where + ": version " + version + " of model " + model + " is not registered");
        }
    }

    private String text(String name, String otherwise) {
        List<String> values = parameters.get(name);
        return values == null || values.isEmpty() || values.get(0).isEmpty() ? otherwise : values.get(0);
    }

    private long epoch() {
        String value = text("epoch", null);
        if (value == null) {
            problems.add("epoch is required: a positive integer, higher than that of the policy in force");
            return 0;
        }
        try {
            long epoch = Long.parseLong(value);
            if (epoch > 0) {
                return epoch;
            }
        } catch (NumberFormatException notANumber) {
            // said below, together with the numbers that are too small
        }
        problems.add("epoch is " + value + ", not a positive integer");
        return 0;
    }

    private double seconds(String name, double otherwise) {
        return number(name, otherwise, 0.001, MAX_SECONDS, false);
    }

    private double number(String name, double otherwise, double min, double max, boolean whole) {
        String value = text(name, null);
        if (value == null) {
            return otherwise;
        }
        double number = decimal(value);
        if (number >= min && number <= max && (!whole || number == Math.rint(number))) {
            return number;
        }
        problems.add(name + " is " + value + ", not " + (whole ? "an integer" : "a number") + " from "
                + plain(min) + " to " + plain(max));
        return otherwise;
    }

    /** {@code version:percent} pairs; none of the versions may be stable. */
    private Map<String, Double> percents(String name, String stable) {
        Map<String, Double> percents = new LinkedHashMap<>();
        String value = text(name, "");
        for (String pair : value.isEmpty() ? new String[0] : value.split(",", -1)) {
            int colon = pair.lastIndexOf(':');
            double percent = colon < 0 ? Double.NaN : decimal(pair.substring(colon + 1));
            if (colon < 1 || !(percent >= 0 && percent <= 100)) {
                problems.add(name + ": '" + pair + "' is not version:percent with a percent from 0 to 100");
                continue;
            }
            String version = pair.substring(0, colon);
            if (version.equals(stable)) {
                problems.add(name + ": " + version + " is stable, not one of the others");
            } else if (percents.put(version, percent) != null) {
                problems.add(name + ": " + version + " is given twice");
            } else {
                checkRegistered(name, version);
            }
        }
        return Collections.unmodifiableMap(percents);
    }

    private boolean failover() {
        String value = text("failover", "stable");
        if (!value.equals("stable") && !value.equals("none")) {
            problems.add("failover is " + value + ", not stable or none");
        }
        return value.equals("stable");
    }

    private StickyKey sticky() {
        String value = text("sticky", null);
        if (value == null) {
            return null;
        }
        for (StickyKey.Place place : StickyKey.Place.values()) {
            StickyKey key = new StickyKey(place, value.substring(value.indexOf(':') + 1));
            if (!key.name().isEmpty() && key.toString().equals(value)) {
                return key;
            }
        }
        problems.add("sticky is " + value + ", not header:NAME or cookie:NAME");
        return null;
    }

    private Cohort cohort() {
        String value = text("cohort", null);
        Cohort cohort = value == null ? null : Cohort.parse(value);
        if (value != null && cohort == null) {
            problems.add("cohort is " + value + ", not header:NAME=VALUE");
        }
        return cohort;
    }

    /** The number, or NaN. Only digits, sign, point and exponent: Java's own reader also takes 1d, 0x1p3 and Infinity. */
    private static double decimal(String value) {
        return value.matches("[+-]?[0-9]{1,15}(\\.[0-9]{1,15})?([eE][+-]?[0-9]{1,3})?")
                ? Double.parseDouble(value)
                : Double.NaN;
    }

    private static String plain(double number) {
        return number == Math.rint(number) ? String.valueOf((long) number) : String.valueOf(number);
    }
}
