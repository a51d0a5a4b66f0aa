package org.torchserve.rollout.gateway;

import io.prometheus.client.Collector;
import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Histogram;
import io.prometheus.client.SimpleCollector;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.torchserve.rollout.routing.Attempt;
import org.torchserve.rollout.routing.Breaker;
import org.torchserve.rollout.routing.Outcome;
import org.torchserve.rollout.routing.PolicyBook;
import org.torchserve.rollout.routing.Recorder;
import org.torchserve.rollout.routing.Role;
import org.torchserve.rollout.routing.Route;
import org.torchserve.rollout.routing.Versions;

/** The gateway's counters and histograms on TorchServe's /metrics; docs/reference/metrics.md says what they mean. */
public final class GatewayMetrics implements Recorder {
    private static final Logger logger = LoggerFactory.getLogger(GatewayMetrics.class);
    private static final double NANOS_PER_S = 1e9;
    private static final double[] BUCKETS_S = {
        0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3,
        4, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300
    };

    private final Counter attempts =
            Counter.build("ts_rollout_attempts_total", "Attempts handed to a version, by outcome.")
                    .labelNames("model", "version", "role", "outcome")
                    .create();
    private final Histogram latency =
            histogram("ts_rollout_attempt_latency_seconds", "From dispatch to the last byte.");
    private final Histogram firstByte = histogram("ts_rollout_first_byte_seconds", "From dispatch to the first byte.");
    private final Histogram queue = histogram("ts_rollout_queue_seconds", "From dispatch until a worker took it.");
    private final Counter answers =
            Counter.build("ts_rollout_answers_total", "What callers got.")
                    .labelNames("model", "version", "code")
                    .create();
    private final Counter failovers =
            Counter.build("ts_rollout_failovers_total", "Attempts replayed on stable, by why.")
                    .labelNames("model", "version", "outcome")
                    .create();
    private final Counter trips =
            Counter.build("ts_rollout_breaker_trips_total", "Times the breaker of a candidate opened.")
                    .labelNames("model", "version")
                    .create();
    private final Counter mirrorDrops =
            Counter.build("ts_rollout_mirror_dropped_total", "Copies of requests that were not made, by why.")
                    .labelNames("model", "version", "reason")
                    .create();
    private final Map<VersionName, Series> series = new ConcurrentHashMap<>();

    private record VersionName(String model, String version) {}

    /** Registers the series. */
    public GatewayMetrics register(CollectorRegistry registry) {
        for (Collector each : List.of(attempts, latency, firstByte, queue, answers, failovers, trips, mirrorDrops)) {
            registry.register(each);
        }
        return this;
    }

    private static Histogram histogram(String name, String help) {
        return Histogram.build(name, help).labelNames("model", "version", "role").buckets(BUCKETS_S).create();
    }

    @Override
    public void finished(Attempt attempt, Outcome outcome) {
        Route route = attempt.route();
        RoleSeries counted = of(route).roles[route.role().ordinal()];
        counted.outcome(outcome).inc();
        if (outcome == Outcome.CLIENT_GONE || outcome == Outcome.NO_CAPACITY) {
            return;
        }
        counted.latency.observe(attempt.latencyNanos() / NANOS_PER_S);
        observe(counted.firstByte, attempt.firstByteLatencyNanos());
        observe(counted.queue, attempt.queueNanos());
    }

    private static void observe(Histogram.Child histogram, long nanos) {
        if (nanos >= 0) {
            histogram.observe(nanos / NANOS_PER_S);
        }
    }

    @Override
    public void failedOver(Route failed, Outcome why) {
        of(failed).child(failovers, why.label()).inc();
    }

    @Override
    public void answered(Route route, int status) {
        if (route.role() != Role.MIRROR) {
            of(route).answers(status).inc();
        }
    }

    @Override
    public void mirrorDropped(Route shadow, String why) {
        of(shadow).child(mirrorDrops, why).inc();
    }

    @Override
    public void tripped(Route route, Breaker.Trip trip) {
        of(route).child(trips).inc();
        logger.warn(
                "Breaker of model {} version {} opened: {}. Its traffic goes to stable until a policy with a higher epoch comes.",
                route.model(),
                route.version(),
                trip.reason());
    }

    /** Versions seen of each model. */
    public Map<String, List<String>> versionsSeen() {
        Map<String, List<String>> seen = new TreeMap<>();
        for (VersionName name : series.keySet()) {
            seen.computeIfAbsent(name.model(), model -> new ArrayList<>()).add(name.version());
        }
        return seen;
    }

    /** Removes the series of versions that are neither registered nor named by a policy, under which they still count. */
    public void forgetUnregistered(Versions versions, PolicyBook policies) {
        series.forEach(
                (name, each) -> {
                    boolean registered = versions.isRegistered(name.model(), name.version());
                    if (!registered && !policies.names(name.model(), name.version())) {
                        series.remove(name);
                        each.remove();
                    }
                });
    }

    private Series of(Route route) {
        VersionName name = new VersionName(route.model(), route.version());
        Series found = series.get(name);
        return found != null ? found : series.computeIfAbsent(name, Series::new);
    }

    /** All series of one version; they are removed together. */
    private final class Series {
        private final VersionName name;
        private final RoleSeries[] roles = new RoleSeries[Role.values().length];
        private final Map<Integer, Counter.Child> answersByStatus = new ConcurrentHashMap<>();
        private final Map<Made, Counter.Child> others = new ConcurrentHashMap<>();

        private Series(VersionName name) {
            this.name = name;
            for (Role role : Role.values()) {
                roles[role.ordinal()] = new RoleSeries(name, role.label());
            }
        }

        private Counter.Child answers(int status) {
            return answersByStatus.computeIfAbsent(status, code -> child(answers, Integer.toString(code)));
        }

        private Counter.Child child(Counter counter, String... label) {
            return others.computeIfAbsent(new Made(counter, List.of(label)), made -> counter.labels(made.labels(name)));
        }

        private void remove() {
            others.keySet().forEach(made -> made.collector().remove(made.labels(name)));
            for (RoleSeries role : roles) {
                role.remove();
            }
        }
    }

    /** A child that was made, by what follows model and version in its labels. */
    private record Made(SimpleCollector<?> collector, List<String> rest) {
        private String[] labels(VersionName name) {
            List<String> labels = new ArrayList<>(List.of(name.model(), name.version()));
            labels.addAll(rest);
            return labels.toArray(new String[0]);
        }
    }

    /** The series of one version in one role; made when first used, so that roles it never had stay out of /metrics. */
    private final class RoleSeries {
        private final String[] labels;
        private final Counter.Child[] outcomes = new Counter.Child[Outcome.values().length];
        private Histogram.Child latency;
        private Histogram.Child firstByte;
        private Histogram.Child queue;

        private RoleSeries(VersionName name, String role) {
            labels = new String[] {name.model(), name.version(), role};
        }

        private synchronized Counter.Child outcome(Outcome outcome) {
            if (latency == null) {
                latency = GatewayMetrics.this.latency.labels(labels);
                firstByte = GatewayMetrics.this.firstByte.labels(labels);
                queue = GatewayMetrics.this.queue.labels(labels);
            }
            Counter.Child child = outcomes[outcome.ordinal()];
            if (child == null) {
                child = attempts.labels(labels[0], labels[1], labels[2], outcome.label());
                outcomes[outcome.ordinal()] = child;
            }
            return child;
        }

        private synchronized void remove() {
            GatewayMetrics.this.latency.remove(labels);
            GatewayMetrics.this.firstByte.remove(labels);
            GatewayMetrics.this.queue.remove(labels);
            for (Outcome outcome : Outcome.values()) {
                attempts.remove(labels[0], labels[1], labels[2], outcome.label());
            }
        }
    }
}
